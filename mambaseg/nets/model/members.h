#pragma once

#include <string>
#include <utility>
#include <vector>

#include "mambaseg/nets/model/checkpoint.h"

namespace mambaseg {

/// A network that is made of others, its members, has for each a module and a table of settings, both called
/// as the other network is. What they share, in_channels and classes, are settings of the whole.

/// The members of a network, by name; none where it is not made of others.
std::vector<std::pair<std::string, std::shared_ptr<Network>>> members_of(const Network& whole);

/// The settings {"name": `member`, ...} of a member of a network of the settings `whole` as a network of its
/// own. UsageError naming the members when there is no such.
Json member_config(const Json& whole, const std::string& member);

/// A member as a model of its own, with the plan, recipe and history of the whole.
Model member_of(const Model& whole, const std::string& member);

}  // namespace mambaseg

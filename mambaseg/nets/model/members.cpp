#include "mambaseg/nets/model/members.h"

#include <algorithm>

#include "mambaseg/nets/model/weights.h"

namespace mambaseg {
namespace {

bool is_network(const std::string& name) {
  return std::any_of(networks().begin(), networks().end(),
                     [&](const NetworkEntry& entry) { return entry.name == name; });
}

}  // namespace

std::vector<std::pair<std::string, std::shared_ptr<Network>>> members_of(const Network& whole) {
  std::vector<std::pair<std::string, std::shared_ptr<Network>>> members;
  for (const auto& child : whole.named_children())
    if (auto member = std::dynamic_pointer_cast<Network>(child.value()))
      members.emplace_back(child.key(), std::move(member));
  return members;
}

Json member_config(const Json& whole, const std::string& member) {
  std::string known;
  for (const auto& [key, settings] : whole.items()) {
    if (!settings.is_object() || !is_network(key)) continue;
    if (key != member) {
      known += (known.empty() ? "" : ", ") + key;
      continue;
    }
    Json config = settings;
    config["name"] = member;
    for (const char* shared : {"in_channels", "classes"}) {
      if (settings.contains(shared))
        throw UsageError(concat("setting ", member, ".", shared, ": the whole network decides it"));
      config[shared] = whole.at(shared);
    }
    if (whole.value("without_mamba", false) && find_network(member).settings().contains("without_mamba"))
      config["without_mamba"] = true;
    if (const std::string orders = whole.value("orders", "");
        !orders.empty() && find_network(member).settings().contains("orders"))
      config["orders"] = orders;
    return config;
  }
  throw UsageError(concat("no member is called ", member, "; ",
                          known.empty() ? "this network is not made of others" : "expected one of " + known));
}

Model member_of(const Model& whole, const std::string& member) {
  Model model{nullptr, whole.info};
  Json& config = model.info.network = member_config(whole.info.network, member);
  model.network = make_network(config);
  Json settings = find_network(member).settings();  // the model names all of them
  settings.update(config);
  config = settings;
  Weights weights;
  const std::string prefix = member + ".";
  for (const auto& [name, value] : weights_of(*whole.network))
    if (name.starts_with(prefix)) weights[name.substr(prefix.size())] = value;
  load_weights(*model.network, weights);
  model.network->eval();
  model.info.history["member_of"] = whole.info.network["name"];
  return model;
}

}  // namespace mambaseg

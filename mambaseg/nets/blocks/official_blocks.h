#pragma once

#include <vector>

#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// Those of blocks that several networks share (official_blocks.cpp), and those of the networks' own blocks.
std::vector<OfficialBlock> official_blocks();

}  // namespace mambaseg

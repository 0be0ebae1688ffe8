#pragma once

#include <vector>

#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// A block whose official forward gives several tensors, y0, y1, ... in a golden file, for inputs by name.
class GivesSeveral {
 public:
  virtual ~GivesSeveral() = default;
  virtual std::vector<torch::Tensor> outputs(const std::map<std::string, torch::Tensor>& inputs) = 0;
};

/// Those of blocks that several networks share (official_blocks.cpp), and those of the networks' own blocks.
std::vector<OfficialBlock> official_blocks();

}  // namespace mambaseg

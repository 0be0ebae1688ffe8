#pragma once

#include <vector>

#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// A block whose official forward gives several tensors, y0, y1, ... in a golden file.
class GivesSeveral {
 public:
  virtual ~GivesSeveral() = default;
  virtual std::vector<torch::Tensor> outputs(const torch::Tensor& x) = 0;
};

/// Those of blocks that several networks share (official_blocks.cpp), and those of the networks' own blocks.
std::vector<OfficialBlock> official_blocks();

}  // namespace mambaseg

#pragma once

#include "mambaseg/config/config.h"
#include "mambaseg/nets/layers/layer.h"

namespace mambaseg {

/// A block on a plane, whose official counterpart reads (B, Y * X, C) and is told the plane by its argument
/// input_resolution. Prefix "block".
class OnRowOfTokens : public Layer {
 public:
  OnRowOfTokens(const Json& arguments, std::shared_ptr<Layer> block)
      : plane_(arguments.at("input_resolution").get<Extent>()),
        block_(register_module("block", std::move(block))) {}
  torch::Tensor forward(const torch::Tensor& x_BLC) override {
    return block_->forward(x_BLC.unflatten(1, plane_)).flatten(1, 2);
  }
  /// OfficialBlock::our_name.
  static std::string our_name(const std::string& official) { return "block." + official; }

 private:
  Extent plane_;
  std::shared_ptr<Layer> block_;
};

}  // namespace mambaseg

#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// A segmentation network. Module names equal the official state_dict keys, so that published weights load as
/// they are.
class Network : public torch::nn::Module {
 public:
  /// x (B, in_channels, spatial...) -> class scores before softmax: first (B, classes, spatial...), then,
  /// where the network has deep-supervision heads and is in training mode, those of the coarser scales,
  /// finest first.
  virtual std::vector<torch::Tensor> forward(const torch::Tensor& x) = 0;

  /// Every spatial size of the input must be a multiple of this.
  virtual int64_t size_multiple() const = 0;
};

/// How the lists, the documentation and the tests see a network.
struct NetworkEntry {
  std::string name;       ///< "medsegmamba"
  std::vector<int> dims;  ///< spatial dimensions it works in: {3}, {2} or {2, 3}
  std::string source;     ///< paper and repository
  std::string summary;    ///< one line
  int64_t parameters;     ///< trainable, at the paper's settings
  std::shared_ptr<Network> (*make)(const Json& settings);  ///< settings over the paper's defaults; UsageError
  Json (*settings)();                                      ///< the paper's settings
  std::vector<SettingDocumentation> (*documentation)();    ///< their meaning
  Json (*small_settings)();  ///< a tiny variant for tests; input edge in "_edge"
};

/// Every network, in the order of the documentation (networks.cpp).
const std::vector<NetworkEntry>& networks();

/// The entry of that name; UsageError with the nearest name otherwise.
const NetworkEntry& find_network(const std::string& name);

/// Makes the network that `config` describes: {"name": "medsegmamba", settings ...}. Every network has the
/// settings in_channels and classes.
std::shared_ptr<Network> make_network(const Json& config);

/// Trainable parameters.
int64_t parameter_count(const torch::nn::Module& module);

}  // namespace mambaseg

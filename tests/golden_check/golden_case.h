#pragma once

#include <map>
#include <set>
#include <span>
#include <string>

#include <torch/types.h>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// One golden file: inputs, weights, expected outputs and gradients of an official implementation.
struct GoldenCase {
  std::string name;
  std::string repository;  ///< of the official code: "JCruan519/VM-UNet"; empty when the file does not say
  std::string official_class;
  Json args;
  std::map<std::string, std::string> metadata;
  std::map<std::string, torch::Tensor>
      tensors;                         ///< every tensor of the file under its stored name, on the CPU
  torch::Device device = torch::kCPU;  ///< where networks and the scan compute
  bool fp64 = false;                   ///< whether networks and blocks compute in fp64

  bool has(const std::string& tensor_name) const { return tensors.count(tensor_name) != 0; }
  const torch::Tensor& at(const std::string& tensor_name) const;  ///< Error when missing
  /// A copy of it on `device`.
  torch::Tensor on_device(const std::string& tensor_name) const { return at(tensor_name).clone().to(device); }
  /// The official state_dict: weights.*, and weights_i8.* times weights_scale.*; aliases included.
  std::map<std::string, torch::Tensor> weights() const;
};

/// Largest absolute error, the allowed one, and a remark for the printed line (for example "differs: pitfall
/// c").
struct GoldenResult {
  bool passed = false;
  double error = 0;
  std::string remark;
};

struct GoldenCheck {
  const char* official_class;
  GoldenResult (*run)(const GoldenCase& golden);
  bool on_device = false;  ///< whether it computes on GoldenCase::device, else on the CPU
};

/// Reads one file; tensors that it gives by the rule "splitmix64/1" are made. Throws Error.
GoldenCase read_golden(const std::string& path);

/// Compares named outputs (and gradients) with the file; keeps the worst.
class GoldenComparison {
 public:
  explicit GoldenComparison(const GoldenCase& golden) : golden_(golden) {}
  /// Compares with output.<name>, or its strided form and stats.<name> where the metadata say so.
  void output(const std::string& name, const torch::Tensor& value);
  /// Compares with grad.<name>, for example grad.input.x or grad.weights.conv.weight. An undefined tensor
  /// counts as zeros; so does a gradient that the file leaves out. One beyond its tolerance is doubtful.
  void gradient(const std::string& name, const torch::Tensor& value);
  bool has_doubtful() const { return !doubtful_.empty(); }
  /// Settles a doubtful gradient, and does nothing for others, by `exact`, ours in fp64 (docs/numerics.md).
  void settle(const std::string& name, const torch::Tensor& exact);
  /// Fails when an output or a gradient of the file was not compared, or a gradient is doubtful.
  GoldenResult result() const;

 private:
  double output_tolerance(const std::string& name) const;
  double gradient_tolerance(const torch::Tensor& expected) const;
  void compare(const std::string& name, const torch::Tensor& expected, const torch::Tensor& value,
               double tolerance);
  void stats(const std::string& name, const torch::Tensor& value, double tolerance);
  void fail(const std::string& remark);
  const GoldenCase& golden_;
  GoldenResult result_{true, 0, ""};
  torch::Tensor thinned_gradient(const std::string& key, const torch::Tensor& value) const;
  std::set<std::string> compared_;
  std::map<std::string, torch::Tensor> doubtful_;
};

std::span<const GoldenCheck> scan_checks();
std::span<const GoldenCheck> walk_checks();
std::span<const GoldenCheck> nnunet_loss_checks();
std::span<const GoldenCheck> nnunet_pipeline_checks();
std::span<const GoldenCheck> pipeline_checks();
std::span<const GoldenCheck> metric_checks();
std::span<const GoldenCheck> stat_checks();
std::span<const GoldenCheck> weak_mamba_checks();

}  // namespace mambaseg

#pragma once

#include <memory>
#include <string>

#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// Everything beside the weights that is needed to run a model, held in the metadata of its .safetensors
/// file.
struct ModelInfo {
  Json network = Json::object();  ///< {"name": ..., settings ...}, all settings written out
  Json plan = Json::object();     ///< preprocessing, patches and labels (data/plan.h)
  Json recipe = Json::object();   ///< the recipe it was trained with, empty for converted weights
  Json history =
      Json::object();  ///< seed, epoch, validation Dice, version of mambaseg, where weights came from
};

struct Model {
  std::shared_ptr<Network> network;
  ModelInfo info;
};

/// How weights lie in a model file. bf16: kernels and matrices take 2 bytes a number, vectors (norms, biases)
/// are kept as they are; a model is computed with in fp32 whichever it is.
enum class StoredWeights { as_they_are, bf16 };

/// "fp32" (as they are) or "bf16"; UsageError otherwise.
StoredWeights stored_weights_named(const std::string& name);

/// Writes weights (parameters and persistent buffers) and info, atomically.
void save_model(const std::string& path, const Network& network, const ModelInfo& info,
                StoredWeights stored = StoredWeights::as_they_are);

/// Reads what a model file says of itself, not its weights. Throws Error naming the path.
ModelInfo read_model_info(const std::string& path);

/// Reads a model; the network is in evaluation mode, its weights are fp32 (StoredWeights). Throws Error
/// naming the path and the missing, extra and misshaped tensors (the first few, and how many there are).
Model load_model(const std::string& path, torch::Device device = torch::kCPU);

}  // namespace mambaseg

#pragma once

#include <map>

#include <torch/types.h>

#include "mambaseg/io/safetensors.h"

namespace mambaseg {

/// A copy of the stored values in memory of its own. Throws Error on a number type that LibTorch lacks.
torch::Tensor to_tensor(const StoredTensor& stored);

/// The tensors of a .safetensors file, of a .npz file of NumPy, or else of one of torch.save. Throws Error
/// naming the path.
std::map<std::string, torch::Tensor> read_tensors(const std::string& path);

/// Names and values for write_safetensors, in the given order, widest number type first so that all are
/// aligned. Tensors are brought to the CPU and made contiguous where they are not; the file keeps them alive.
TensorFile to_tensor_file(const std::vector<std::pair<std::string, torch::Tensor>>& tensors);

}  // namespace mambaseg

#pragma once

#include <string>

#include "mambaseg/io/safetensors.h"

namespace mambaseg {

/// Reads the tensors of a PyTorch checkpoint (the zip file that torch.save writes since version 1.6). The
/// pickle inside is interpreted by a reader that knows only dictionaries, lists, numbers, texts and tensors:
/// nothing is executed, and any other class or function is refused by name. A state_dict may lie inside a
/// dictionary under "state_dict", "model_state_dict" or "model"; the prefix "module." of data-parallel
/// training is dropped; entries that are not tensors are left out. Views with strides become contiguous.
/// Throws Error naming the path.
TensorFile read_torch_file(const std::string& path);

}  // namespace mambaseg

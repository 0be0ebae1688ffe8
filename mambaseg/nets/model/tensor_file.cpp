#include "mambaseg/nets/model/tensor_file.h"

#include <algorithm>
#include <cstring>

#include "mambaseg/core/error.h"
#include "mambaseg/io/numpy_file.h"
#include "mambaseg/io/torch_file.h"

namespace mambaseg {
namespace {

struct NumberType {
  const char* stored;
  torch::ScalarType tensor;
};

constexpr NumberType kNumberTypes[] = {
    {"F64", torch::kDouble}, {"F32", torch::kFloat}, {"F16", torch::kHalf},  {"BF16", torch::kBFloat16},
    {"I64", torch::kLong},   {"I32", torch::kInt},   {"I16", torch::kShort}, {"I8", torch::kChar},
    {"U8", torch::kByte},    {"BOOL", torch::kBool},
};

}  // namespace

torch::Tensor to_tensor(const StoredTensor& stored) {
  const auto* type =
      std::find_if(std::begin(kNumberTypes), std::end(kNumberTypes),
                   [&](const NumberType& candidate) { return candidate.stored == stored.dtype; });
  require(type != std::end(kNumberTypes), "tensor ", stored.name, ": number type ", stored.dtype,
          " cannot be computed with");
  torch::Tensor tensor = torch::empty(stored.sizes, type->tensor);
  if (!stored.bytes.empty()) std::memcpy(tensor.data_ptr(), stored.bytes.data(), stored.bytes.size());
  return tensor;
}

std::map<std::string, torch::Tensor> read_tensors(const std::string& path) {
  const TensorFile file = path.ends_with(".safetensors") ? read_safetensors(path)
                          : path.ends_with(".npz")       ? read_npz(path)
                                                         : read_torch_file(path);
  std::map<std::string, torch::Tensor> tensors;
  with_context(path, [&] {
    for (const StoredTensor& tensor : file.tensors) tensors[tensor.name] = to_tensor(tensor);
  });
  return tensors;
}

TensorFile to_tensor_file(const std::vector<std::pair<std::string, torch::Tensor>>& tensors) {
  TensorFile file;
  auto kept = std::make_shared<std::vector<torch::Tensor>>();
  for (const auto& [name, value] : tensors) {
    const torch::Tensor tensor = value.detach().to(torch::kCPU).contiguous();
    const auto* type =
        std::find_if(std::begin(kNumberTypes), std::end(kNumberTypes),
                     [&](const NumberType& candidate) { return candidate.tensor == tensor.scalar_type(); });
    require(type != std::end(kNumberTypes), "tensor ", name, " has a number type that safetensors lacks");
    file.tensors.push_back({name,
                            type->stored,
                            tensor.sizes().vec(),
                            {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()}});
    kept->push_back(tensor);
  }
  std::stable_sort(
      file.tensors.begin(), file.tensors.end(),
      [](const StoredTensor& a, const StoredTensor& b) { return dtype_size(a.dtype) > dtype_size(b.dtype); });
  file.storage = kept;
  return file;
}

}  // namespace mambaseg

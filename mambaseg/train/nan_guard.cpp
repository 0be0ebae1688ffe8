#include "mambaseg/train/nan_guard.h"

#include <algorithm>
#include <map>

#include <ATen/record_function.h>

namespace mambaseg {
namespace {

bool finite(const torch::Tensor& tensor) {
  if (!tensor.defined() || !tensor.is_floating_point() || tensor.numel() == 0) return true;
  return torch::isfinite(tensor).all().item<bool>();
}

std::string module_of(const std::string& parameter) {
  const size_t dot = parameter.rfind('.');
  return dot == std::string::npos ? parameter : parameter.substr(0, dot);
}

/// C++ modules have no forward hooks, but LibTorch calls observers around every operation. An operation
/// belongs to the module whose parameter it reads.
struct Observer {
  std::map<const void*, std::string> module_of_storage;
  std::string last_module = "the input";
  std::string found;
};

thread_local Observer* observing =
    nullptr;  // observers are plain functions; set only while find_non_finite runs

const void* storage_of(const torch::Tensor& tensor) {
  return tensor.defined() && tensor.has_storage() ? tensor.storage().data() : nullptr;
}

struct Inputs : at::ObserverContext {
  std::vector<torch::Tensor> tensors;
};

std::unique_ptr<at::ObserverContext> before(const at::RecordFunction& function) {
  auto context = std::make_unique<Inputs>();
  if (!observing || !observing->found.empty()) return context;
  const at::DisableRecordFunctionGuard unobserved;
  std::string module;
  for (const c10::IValue& value : function.inputs()) {
    if (!value.isTensor()) continue;
    context->tensors.push_back(value.toTensor());
    const auto known = observing->module_of_storage.find(storage_of(context->tensors.back()));
    if (known != observing->module_of_storage.end()) module = known->second;
  }
  if (module.empty()) return context;
  // What enters a module was made since the module before it, perhaps by a kernel that no observer sees.
  if (module != observing->last_module && !context->tensors.empty() && !finite(context->tensors[0]))
    observing->found = "after module " + observing->last_module + ", before " + module;
  observing->last_module = module;
  return context;
}

void after(const at::RecordFunction& function, at::ObserverContext* context) {
  if (!observing || !observing->found.empty()) return;
  const at::DisableRecordFunctionGuard unobserved;
  const std::string name = function.name();
  if (name.find("empty") != std::string::npos || name.find("resize") != std::string::npos)
    return;  // not yet written
  const auto& inputs = static_cast<Inputs*>(context)->tensors;
  for (const c10::IValue& value : function.outputs()) {
    if (!value.isTensor() || finite(value.toTensor())) continue;
    const void* storage = storage_of(value.toTensor());
    const bool is_view =
        name.back() != '_' && std::any_of(inputs.begin(), inputs.end(), [&](const torch::Tensor& input) {
          return storage_of(input) == storage;
        });
    if (is_view) continue;
    observing->found = "in module " + observing->last_module + " (operation " + name + ")";
    return;
  }
}

std::string first_non_finite_output(torch::nn::Module& module, const std::function<void()>& forward) {
  Observer observer;
  for (const auto& parameter : module.named_parameters())
    observer.module_of_storage[storage_of(parameter.value())] = module_of(parameter.key());
  const auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(before, after)
                                                     .needsInputs(true)
                                                     .needsOutputs(true)
                                                     .scopes({at::RecordScope::FUNCTION}));
  observing = &observer;
  try {
    const torch::NoGradGuard no_grad;
    forward();
  } catch (...) {
    observing = nullptr;
    at::removeCallback(handle);
    throw;
  }
  observing = nullptr;
  at::removeCallback(handle);
  return observer.found;
}

}  // namespace

std::string find_non_finite(torch::nn::Module& module, const std::function<void()>& forward) {
  for (const auto& parameter : module.named_parameters())
    if (!finite(parameter.value())) return "parameter " + parameter.key() + " holds a non-finite value";
  for (const auto& buffer : module.named_buffers())
    if (!finite(buffer.value())) return "buffer " + buffer.key() + " holds a non-finite value";
  const std::string output = first_non_finite_output(module, forward);
  if (!output.empty()) return "numbers stop being finite " + output;
  std::string gradient;
  for (const auto& parameter : module.named_parameters())
    if (!finite(parameter.value().grad())) gradient = parameter.key();
  return gradient.empty() ? "" : "the gradient of " + gradient + " is not finite";
}

bool all_finite(const torch::nn::Module& module) {
  for (const auto& parameter : module.parameters())
    if (!finite(parameter)) return false;
  for (const auto& buffer : module.buffers())
    if (!finite(buffer)) return false;
  return true;
}

}  // namespace mambaseg

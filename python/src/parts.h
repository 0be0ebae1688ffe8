#pragma once

// torch's own headers of its Python binding, with the casters of tensors.
#include <torch/csrc/utils/pybind.h>

#include <optional>

#include <torch/types.h>

/// The parts of the extension modules, one a file.
namespace mambaseg::python {

/// Makes mambaseg.Error and mambaseg.UsageError.
void make_errors(pybind11::module_& module);
/// Our exceptions leave the functions of this extension module as those that `errors`, the module that made
/// them, has.
void translate_errors(const pybind11::module_& errors);
/// Raises Error, or UsageError, in Python, as a translator of exceptions does.
void set_error(const char* line, bool usage);

void add_operators(pybind11::module_& module);
void add_metrics(pybind11::module_& module);
void add_segmenter(pybind11::module_& module);

/// A tensor or None.
using MaybeTensor = std::optional<torch::Tensor>;
inline torch::Tensor or_undefined(const MaybeTensor& tensor) { return tensor ? *tensor : torch::Tensor(); }
inline MaybeTensor or_none(const torch::Tensor& tensor) {
  return tensor.defined() ? MaybeTensor(tensor) : std::nullopt;
}

}  // namespace mambaseg::python

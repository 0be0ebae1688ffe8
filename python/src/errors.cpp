// Our exceptions as Python's, with the same one line.

#include <c10/util/Exception.h>

#include "mambaseg/core/error.h"
#include "python/src/parts.h"

namespace mambaseg::python {
namespace {

PyObject* error_type = nullptr;
PyObject* usage_error_type = nullptr;

void translate(std::exception_ptr exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const UsageError& error) {
    set_error(error.what(), true);
  } catch (const Error& error) {
    set_error(error.what(), false);
  } catch (const c10::Error& error) {
    set_error(error.what_without_backtrace(), false);
  }
}

/// A class of the package's that lives as long as the process.
PyObject* new_type(const char* name, const char* doc, const pybind11::tuple& bases) {
  PyObject* type = PyErr_NewExceptionWithDoc(name, doc, bases.ptr(), nullptr);
  if (type == nullptr) throw pybind11::error_already_set();
  return type;
}

}  // namespace

void set_error(const char* line, bool usage) { PyErr_SetString(usage ? usage_error_type : error_type, line); }

void make_errors(pybind11::module_& module) {
  const pybind11::handle error =
      new_type("mambaseg.Error", "What was expected, what came and what to do, in one line.",
               pybind11::make_tuple(pybind11::handle(PyExc_RuntimeError)));
  module.attr("Error") = error;
  module.attr("UsageError") = pybind11::handle(
      new_type("mambaseg.UsageError", "A name or setting that makes no sense whatever the data are.",
               pybind11::make_tuple(error, pybind11::handle(PyExc_ValueError))));
}

void translate_errors(const pybind11::module_& errors) {
  error_type = errors.attr("Error").ptr();
  usage_error_type = errors.attr("UsageError").ptr();
  pybind11::register_local_exception_translator(translate);
}

}  // namespace mambaseg::python

#include "python/src/parts.h"

PYBIND11_MODULE(_C, module) {
  module.doc() = "The compiled operators and metrics of mambaseg; use the package.";
  module.attr("version") = MAMBASEG_VERSION;
  mambaseg::python::make_errors(module);
  mambaseg::python::translate_errors(module);
  mambaseg::python::add_operators(module);
  mambaseg::python::add_metrics(module);
}

// The extension module of what holds networks: those of the zoo, whose parameters are Python's tensors, and
// segmenters.

#include <pybind11/stl.h>

#include "mambaseg/nets/model/network.h"
#include "python/src/parts.h"

namespace mambaseg::python {
namespace {

namespace py = pybind11;
using torch::Tensor;
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

template <class Dictionary>
NamedTensors listed(const Dictionary& dictionary) {
  NamedTensors all;
  for (const auto& item : dictionary) all.emplace_back(item.key(), item.value());
  return all;
}

}  // namespace
}  // namespace mambaseg::python

PYBIND11_MODULE(_nets, module) {
  using namespace mambaseg;
  using namespace mambaseg::python;
  module.doc() = "The compiled networks and segmenters of mambaseg; use the package.";
  translate_errors(py::module_::import("mambaseg._C"));
  py::class_<Network, std::shared_ptr<Network>>(module, "Network")
      .def("forward",
           [](Network& network, const Tensor& x) {
             const py::gil_scoped_release others_may_run;
             return network.forward(x);
           })
      .def("train", [](Network& network, bool on) { network.train(on); })
      .def("parameters", [](const Network& network) { return listed(network.named_parameters()); })
      .def("buffers", [](const Network& network) { return listed(network.named_buffers()); })
      .def_property_readonly("size_multiples", &Network::size_multiples);
  module.def("make_network", [](const std::string& name, const std::string& settings) {
    return find_network(name).make(Json::parse(settings));
  });
  module.def("network_names", [] {
    std::vector<std::string> names;
    for (const NetworkEntry& entry : networks()) names.push_back(entry.name);
    return names;
  });
  module.def("network_facts", [](const std::string& name) {
    const NetworkEntry& entry = find_network(name);
    Json facts{{"name", entry.name},
               {"dims", entry.dims},
               {"source", entry.source},
               {"summary", entry.summary},
               {"parameters", entry.parameters},
               {"settings", entry.settings()},
               {"small", entry.small},
               {"small_edge", entry.small_edge}};
    for (const SettingDocumentation& line : entry.documentation())
      facts["help"][line.path] = line.rule.empty() ? line.help : line.help + " (" + line.rule + ")";
    return facts.dump();
  });
  add_segmenter(module);
}

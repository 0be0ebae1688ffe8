#include "mambaseg/infer/ensemble.h"

#include "mambaseg/nets/blocks/ss2d.h"

namespace mambaseg {
namespace {

/// What all models of an ensemble have in common.
Json common_of(const ModelInfo& info) {
  Json common = {{"plan", info.plan}};
  if (info.plan.value("plane", "none") == "none")
    common["classes"] = info.network.value("classes", 0);
  else
    common["plan"]["plane"] = "any";  // and sagittal models may have fewer classes
  return common;
}

}  // namespace

std::vector<Model> load_ensemble(const std::vector<std::string>& paths, torch::Device device,
                                 int64_t quarter_from) {
  std::vector<Model> models;
  for (const std::string& path : paths) {
    models.push_back(load_model(path, device));
    if (common_of(models.back().info) != common_of(models.front().info))
      throw UsageError(concat("prediction: ", path, " has another plan or other classes than ", paths.front(),
                              "; an ensemble needs models of the same labels and preprocessing"));
    if (quarter_from > 0) with_context(path, [&] { quarter_scans(*models.back().network, quarter_from); });
  }
  require(!models.empty(), "prediction: expected at least one model");
  return models;
}

}  // namespace mambaseg

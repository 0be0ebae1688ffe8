#include "mambaseg/infer/ensemble.h"

namespace mambaseg {

std::vector<Model> load_ensemble(const std::vector<std::string>& paths, torch::Device device) {
  std::vector<Model> models;
  for (const std::string& path : paths) {
    models.push_back(load_model(path, device));
    const ModelInfo& first = models.front().info;
    const ModelInfo& info = models.back().info;
    if (info.plan != first.plan || info.network.value("classes", 0) != first.network.value("classes", 0))
      throw UsageError(concat("prediction: ", path, " has another plan or other classes than ", paths.front(),
                              "; an ensemble needs models of the same labels and preprocessing"));
  }
  require(!models.empty(), "prediction: expected at least one model");
  return models;
}

}  // namespace mambaseg

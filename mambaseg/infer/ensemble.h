#pragma once

#include <string>
#include <vector>

#include "mambaseg/nets/model/checkpoint.h"

namespace mambaseg {

/// Reads model files whose probabilities are to be averaged; at least one. They must agree in everything but
/// the weights' history, models of slices also in their plane: UsageError naming the file that has another
/// plan or other classes. `quarter_from` above 0: QuarterMap on planes of that many tokens or more
/// (quarter_scans); UsageError naming the file of a network that has none.
std::vector<Model> load_ensemble(const std::vector<std::string>& paths, torch::Device device,
                                 int64_t quarter_from = 0);

}  // namespace mambaseg

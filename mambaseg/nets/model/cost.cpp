#include "mambaseg/nets/model/cost.h"

#include "mambaseg/nets/layers/unfilled.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {

NetworkCost cost_of(const NetworkEntry& entry, const Json& settings, const Extent& sizes) {
  require_twin(entry, settings);
  const UnfilledWeightsGuard unfilled;
  const auto network = entry.make(settings);
  network->eval();
  std::vector<int64_t> all{1, settings.at("in_channels").get<int64_t>()};
  all.insert(all.end(), sizes.begin(), sizes.end());
  OperationCounter counter;
  network->forward(torch::zeros(all));
  return {parameter_count(*network), counter.count()};
}

}  // namespace mambaseg

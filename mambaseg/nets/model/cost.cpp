#include "mambaseg/nets/model/cost.h"

#include "mambaseg/nets/layers/unfilled.h"

namespace mambaseg {

NetworkCost cost_of(const Json& config, const Extent& sizes) {
  const UnfilledWeightsGuard unfilled;
  const auto network = make_network(config);
  network->eval();
  Json settings = find_network(config.at("name")).settings();
  settings.update(config);
  std::vector<int64_t> all{1, settings.at("in_channels").get<int64_t>()};
  all.insert(all.end(), sizes.begin(), sizes.end());
  OperationCounter counter;
  network->forward(torch::zeros(all));
  return {parameter_count(*network), counter.count()};
}

}  // namespace mambaseg

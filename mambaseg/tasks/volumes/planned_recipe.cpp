#include "mambaseg/tasks/volumes/planned_recipe.h"

#include <algorithm>

#include "mambaseg/nets/model/network.h"

namespace mambaseg {

Json planned_recipe(const Json& network_settings, const Plan& given, const PlannedExperiment& planned,
                    const Fingerprint& fingerprint) {
  Json plan = {{"conform", "spacing"}, {"spacing", planned.spacing_mm}};
  if (given.intensity == "ct" && !fingerprint.channels.empty()) {
    const ChannelFingerprint& channel = fingerprint.channels[0];
    plan["ct"] = {{"mean", channel.mean},
                  {"deviation", channel.deviation},
                  {"low", channel.low},
                  {"high", channel.high}};
  }
  Json network = network_settings;
  network["in_channels"] = std::max<size_t>(1, fingerprint.channels.size());
  const Json known = find_network(network.at("name").get<std::string>()).settings();
  Json out = {{"network", network}};
  if (known.contains("features") && known.contains("strides")) {
    out["network"]["features"] = planned.stages.features;
    out["network"]["kernels"] = planned.stages.kernels;
    out["network"]["strides"] = planned.stages.strides;
    if (known.contains("patch")) out["network"]["patch"] = planned.patch;
    plan["patch"] = planned.patch;
    out["training"] = {{"batch", planned.batch}, {"patches_per_step", planned.batch}};
  } else {
    const Extent multiples = make_network(network)->size_multiples();
    std::vector<int64_t> patch = given.patch;
    for (size_t a = 0; a < std::min(patch.size(), multiples.size()); ++a) {
      const auto upwards = [&](int64_t edge) {
        return (edge + multiples[a] - 1) / multiples[a] * multiples[a];
      };
      patch[a] = upwards(std::min(patch[a], planned.median_size[a]));
    }
    plan["patch"] = patch;
  }
  // Windows at prediction may not leave voxels between them along the shortest edge.
  const auto edges = plan["patch"].get<std::vector<int64_t>>();
  if (!edges.empty()) plan["step"] = std::min(given.step, *std::min_element(edges.begin(), edges.end()));
  out["plan"] = plan;
  return out;
}

}  // namespace mambaseg

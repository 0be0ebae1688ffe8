// U-Mamba_Enc (Ma, Li, Wang 2024): Mamba layers after the encoder stages of U-Mamba's U-Net: in 2-D after
// every second (the last included), in 3-D after every one.

#include <functional>
#include <numeric>

#include "mambaseg/nets/blocks/umamba.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

struct UMambaEncSettings : UMambaSettings {
  Extent patch;
  void describe(SettingsVisitor& visit) {
    UMambaSettings::describe(visit);
    visit("patch", patch,
          "input size the network is made for; empty: 128 along each axis. A stage with no more voxels than "
          "channels takes "
          "its channels as tokens and then accepts this size only",
          at_least(1));
  }
};

std::shared_ptr<Network> make(const UMambaEncSettings& s) {
  s.check();
  Extent grid = s.patch.empty() ? cube(s.dimension, 128) : s.patch;
  if (static_cast<int64_t>(grid.size()) != s.dimension)
    throw UsageError(concat("network: patch has ", grid.size(), " numbers, expected ", s.dimension));
  std::vector<std::shared_ptr<UMambaLayer>> layers(s.mamba ? s.features.size() : 0);
  for (int64_t stage = 0; s.mamba && stage < s.stages(); ++stage) {
    const Extent stride = s.stride(stage);
    for (size_t axis = 0; axis < grid.size(); ++axis) grid[axis] /= stride[axis];
    const int64_t voxels = std::accumulate(grid.begin(), grid.end(), int64_t{1}, std::multiplies<>());
    const int64_t channels = s.features[static_cast<size_t>(stage)];
    const bool channel_tokens = voxels <= channels;
    if (voxels < 1)
      throw UsageError(concat("network: a patch of this size has no voxel left at stage ", stage));
    if (s.dimension == 2 && stage % 2 == s.stages() % 2) continue;
    layers[static_cast<size_t>(stage)] =
        std::make_shared<UMambaLayer>(channel_tokens ? MambaSettings{.width = voxels}
                                                     : MambaSettings{.width = channels, .dims = s.dimension},
                                      channel_tokens);
  }
  auto network = std::make_shared<UMamba>(s, std::move(layers), nullptr);
  for (const auto& part : network->modules())
    if (auto* block = dynamic_cast<BasicBlockD*>(part.get())) block->silence();
  return network;
}

Json official_settings(const Json& arguments) {
  UMambaEncSettings s;
  read_umamba_arguments(arguments, s);
  s.patch = arguments.at("input_size").get<Extent>();
  return to_json(s);
}

}  // namespace

NetworkEntry umamba_enc_entry() {
  return hybrid_entry<UMambaEncSettings>(
      {.name = "umamba_enc",
       .dims = {3, 2},
       .source = "Ma, Li, Wang: U-Mamba, 2024, github.com/bowang-lab/U-Mamba",
       .summary = "residual U-Net with a Mamba layer after encoder stages",
       .parameters = 42'750'922,
       .small = R"({"classes": 3, "features": [4, 6, 8]})",
       .small_edge = 8,
       .official = {{"bowang-lab/U-Mamba", "UMambaEnc (2d)", official_settings, nullptr, nnunet_name},
                    {"bowang-lab/U-Mamba", "UMambaEnc (3d)", official_settings, nullptr, nnunet_name}}},
      [](const UMambaEncSettings& s) { return make(s); });
}

}  // namespace mambaseg

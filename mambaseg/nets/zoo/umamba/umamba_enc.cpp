// U-Mamba_Enc (Ma, Li, Wang 2024): Mamba layers after the encoder stages of U-Mamba's U-Net: in 2-D after
// every second (the last included), in 3-D after every one.

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
  const std::vector<int64_t> voxels = stage_voxels(s, s.patch);
  UMambaMixers mixers;
  mixers.stages.resize(s.mamba ? s.features.size() : 0);
  for (size_t stage = 0; stage < mixers.stages.size(); ++stage) {
    if (s.dimension == 2 && stage % 2 == s.features.size() % 2) continue;
    const int64_t channels = s.features[stage];
    const bool channel_tokens = voxels[stage] <= channels;
    mixers.stages[stage] =
        std::make_shared<UMambaLayer>(channel_tokens ? MambaSettings{.width = voxels[stage]}
                                                     : MambaSettings{.width = channels, .dims = s.dimension},
                                      channel_tokens);
  }
  auto network = std::make_shared<UMamba>(s, mixers);
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

// U-Mamba_Bot (Ma, Li, Wang 2024): a Mamba layer on the deepest features of U-Mamba's U-Net.

#include "mambaseg/nets/blocks/umamba.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

std::shared_ptr<Network> make(const UMambaSettings& s) {
  s.check();
  UMambaMixers mixers;
  if (s.mamba)
    mixers.bottleneck =
        std::make_shared<UMambaLayer>(MambaSettings{.width = s.features.back(), .dims = s.dimension}, false);
  return std::make_shared<UMamba>(s, mixers);
}

Json official_settings(const Json& arguments) {
  UMambaSettings s;
  read_umamba_arguments(arguments, s);
  return to_json(s);
}

}  // namespace

NetworkEntry umamba_bot_entry() {
  return hybrid_entry<UMambaSettings>(
      {.name = "umamba_bot",
       .dims = {3, 2},
       .source = "Ma, Li, Wang: U-Mamba, 2024, github.com/bowang-lab/U-Mamba",
       .summary = "residual U-Net with a Mamba layer on the deepest features",
       .parameters = 42'120'394,
       .small = R"({"classes": 3, "features": [4, 6, 8]})",
       .small_edge = 8,
       .official = {{"bowang-lab/U-Mamba", "UMambaBot (2d)", official_settings, nullptr, nnunet_name},
                    {"bowang-lab/U-Mamba", "UMambaBot (3d)", official_settings, nullptr, nnunet_name}}},
      [](const UMambaSettings& s) { return make(s); });
}

}  // namespace mambaseg

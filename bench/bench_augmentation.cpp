// Patches of a volume drawn and augmented as nnU-Net does, on one thread: seconds a patch for each change
// alone and with nnU-Net's probabilities together. bench/peers/augmentation.py runs batchgeneratorsv2 beside
// it.

#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "bench/measurement.h"
#include "mambaseg/tasks/volumes/training_patches.h"

namespace {

using mambaseg::AugmentSettings;
using mambaseg::Json;

struct Change {
  const char* name;
  std::function<void(AugmentSettings&)> set;
};

/// Probabilities of nnU-Net 2's default trainer.
void set_all(AugmentSettings& s) {
  s.flip = {0.5, 0.5, 0.5};
  s.rotation = s.scaling = 0.2;
  s.rotation_degrees = 30;
  s.nnunet = {0.1, 0.2, 0.15, 0.15, 0.25, 0.1, 0.3};
}

const std::vector<Change> kChanges{
    {"cut out", [](AugmentSettings&) {}},
    {"flip",
     [](AugmentSettings& s) {
       s.flip = {1, 1, 1};
     }},
    {"rotation", [](AugmentSettings& s) { s.rotation = 1, s.rotation_degrees = 30; }},
    {"elastic", [](AugmentSettings& s) { s.spatial = 1, s.elastic_voxels = 3; }},
    {"noise", [](AugmentSettings& s) { s.nnunet.noise = 1; }},
    {"blur", [](AugmentSettings& s) { s.nnunet.blur = 1; }},
    {"brightness", [](AugmentSettings& s) { s.nnunet.brightness = 1; }},
    {"contrast", [](AugmentSettings& s) { s.nnunet.contrast = 1; }},
    {"low resolution", [](AugmentSettings& s) { s.nnunet.low_resolution = 1; }},
    {"gamma", [](AugmentSettings& s) { s.nnunet.gamma = 1; }},
    {"all", set_all},
};

}  // namespace

int main(int argc, char** argv) {
  int64_t patch = 128, patches = 8, rounds = 3;
  bool json = false;
  std::string only;
  CLI::App app("Times the augmentation of training patches.");
  app.add_option("--patch", patch, "Edge")->capture_default_str();
  app.add_option("--patches", patches, "Drawn for each change")->capture_default_str();
  app.add_option("--rounds", rounds, "The best counts")->capture_default_str();
  app.add_option("--only", only, "Changes whose name holds this");
  app.add_flag("--json", json);
  CLI11_PARSE(app, argc, argv);
  torch::set_num_threads(1);
  torch::manual_seed(1);

  mambaseg::PreparedCase one;
  const int64_t edge = patch * 3 / 2;
  one.image_CIJK = torch::randn({1, edge, edge, edge});
  one.classes_IJK = torch::randint(0, 3, {edge, edge, edge}, torch::kByte);
  mambaseg::Plan plan;
  plan.patch = {patch, patch, patch};
  plan.classes.resize(2);
  mambaseg::SamplingSettings sampling;
  sampling.kind = "random";
  sampling.patches_per_case = patches;

  Json rows = Json::array();
  for (const Change& change : kChanges) {
    if (std::string(change.name).find(only) == std::string::npos) continue;
    AugmentSettings settings;
    change.set(settings);
    const mambaseg::PatchSampler sampler(one, sampling, settings, plan);
    // "all" needs many patches, of which few meet a rare change.
    const int64_t count = std::string(change.name) == "all" ? patches * 8 : patches;
    const double seconds =
        mambaseg::best_of(static_cast<int>(rounds),
                          [&] {
                            return mambaseg::seconds([&] {
                              for (int64_t i = 0; i < count; ++i)
                                sampler.draw(i % patches, mambaseg::Random(1, static_cast<uint64_t>(i)));
                            });
                          }) /
        static_cast<double>(count);
    rows.push_back({{"case", "augmentation of " + std::to_string(patch) + "^3, " + change.name},
                    {"unit", "s"},
                    {"ours", seconds},
                    {"reference", Json()},
                    {"threads", 1}});
    if (!json) std::printf("%-16s %8.2f ms a patch\n", change.name, 1e3 * seconds);
  }
  if (json) std::printf("%s\n", rows.dump(2).c_str());
}

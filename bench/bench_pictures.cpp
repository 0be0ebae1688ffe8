// Pictures of 256 x 256: augmented pictures a second on one thread, as the batch stream draws them, beside
// the same transform by LibTorch's grid_sample, checked against it first. Prints a line, or with --json an
// array of one object. (What networks predict in a second: bench_network --network hym_unet.)

#include <ATen/Parallel.h>
#include <torch/nn/functional.h>
#include <torch/nn/functional/vision.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <functional>

#include "mambaseg/tasks/pictures/picture_augment.h"

namespace {

using namespace mambaseg;

constexpr int64_t kEdge = 256;

/// Seconds of the fastest of `rounds` calls.
double fastest_s(int rounds, const std::function<void()>& call) {
  double best = 1e30;
  for (int i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    call();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

/// The transform by LibTorch. Its grid runs from -1 to 1 between the centres of the border pixels and names
/// the column first.
Sample by_grid_sample(const PreparedCase& one, const PictureTransform& m) {
  const auto theta =
      torch::tensor({m[1][1], m[1][0], 0.0, m[0][1], m[0][0], 0.0}).view({1, 2, 3}).to(torch::kFloat32);
  const auto grid = torch::affine_grid_generator(theta, {1, 3, kEdge, kEdge}, /*align_corners=*/true);
  const auto sampled = [&](const torch::Tensor& x, auto mode) {
    return torch::nn::functional::grid_sample(x, grid,
                                              torch::nn::functional::GridSampleFuncOptions()
                                                  .mode(mode)
                                                  .padding_mode(torch::kZeros)
                                                  .align_corners(true));
  };
  const auto image = one.image_CIJK.to(torch::kFloat32) * one.scale;
  const auto mask = one.classes_IJK.to(torch::kFloat32).unsqueeze(0);
  return {sampled(image.unsqueeze(0), torch::kBilinear).squeeze(0),
          sampled(mask.unsqueeze(0), torch::kNearest).squeeze(0).squeeze(0).to(torch::kInt64)};
}

Json augmentation() {
  torch::set_num_threads(1);
  torch::manual_seed(1);
  PreparedCase one;
  one.image_CIJK = torch::randint(0, 256, {3, kEdge, kEdge}, torch::kUInt8);
  one.classes_IJK = torch::randint(0, 2, {kEdge, kEdge}, torch::kUInt8);
  one.scale = 1.0f / 255;
  PictureAugmentSettings settings;
  settings.flip = {0.5, 0.5};
  settings.rotation = 1;
  Random random(1);
  const PictureTransform transform = draw_transform(settings, random);
  // Single precision places of grid_sample are off by 256 * 2^-24 pixels or so, and neighbours differ by up
  // to 1.
  const double error =
      (transformed(one, transform).image - by_grid_sample(one, transform).image).abs().max().item<double>();
  require(error < 1e-3, "bench_pictures: the transform differs from grid_sample by ", error);
  constexpr int kDraws = 50;
  const auto rate = [&](const std::function<void()>& draw) {
    return kDraws / fastest_s(3, [&] {
             for (int i = 0; i < kDraws; ++i) draw();
           });
  };
  const double ours = rate([&] { transformed(one, transform); }),
               reference = rate([&] { by_grid_sample(one, transform); });
  return {{"case", "picture and mask, flips and rotation; reference grid_sample"},
          {"unit", "pictures/s"},
          {"ours", ours},
          {"reference", reference},
          {"ratio", ours / reference},
          {"max_error", error},
          {"threads", 1}};
}

}  // namespace

int main(int argc, char** argv) {
  bool json = false;
  CLI::App app("Augmented pictures a second on one thread, beside LibTorch's grid_sample.");
  app.add_flag("--json", json);
  CLI11_PARSE(app, argc, argv);
  const Json line = augmentation();
  if (json)
    std::printf("%s\n", Json::array({line}).dump(2).c_str());
  else
    std::printf("%s: %.1f pictures/s on one thread, %.1f times the reference's %.1f\n",
                line["case"].get<std::string>().c_str(), line["ours"].get<double>(),
                line["ratio"].get<double>(), line["reference"].get<double>());
  return 0;
}

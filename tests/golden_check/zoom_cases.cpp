// The zoom between resolutions of FastSurferVINN: images, and the factors that rounding leaves.

#include "mambaseg/nets/blocks/voxel_zoom.h"
#include "tests/golden_check/network_cases.h"

namespace mambaseg {
namespace {

/// To target_shape; from there to back_shape where the file has one.
GoldenResult check_zoom(const GoldenCase& golden) {
  const ZoomSettings settings{golden.args.at("interpolation_mode").get<std::string>(),
                              golden.args.at("crop_position").get<std::string>()};
  const torch::Tensor x = golden.on_device("input.x").requires_grad_(golden.has("grad_output"));
  ZoomedImages result =
      zoomed(x, golden.args.at("target_shape").get<Extent>(), golden.at("input.scale_factor"), settings);
  GoldenComparison comparison(golden);
  if (!golden.args.contains("back_shape")) {
    comparison.output("y0", result.images_BCYX);
    comparison.output("y1", result.factors_B2);
    return comparison.result();
  }
  result =
      zoomed(result.images_BCYX, golden.args.at("back_shape").get<Extent>(), 1 / result.factors_B2, settings);
  comparison.output("y", result.images_BCYX);
  if (golden.has("grad_output")) {
    (result.images_BCYX * golden.on_device("grad_output")).sum().backward();
    comparison.gradient("input.x", x.grad());
  }
  return comparison.result();
}

}  // namespace

std::span<const GoldenCheck> zoom_checks() {
  static const GoldenCheck checks[] = {{"Zoom2d", check_zoom, /*on_device=*/true}};
  return checks;
}

}  // namespace mambaseg

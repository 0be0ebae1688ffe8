#include "mambaseg/data/picture_case.h"

#include <torch/nn/functional.h>
#include <torch/nn/functional/upsampling.h>

namespace mambaseg {
namespace {

/// (B, C, Y, X) float32
torch::Tensor resized_maps(const torch::Tensor& x_BCYX, int64_t height, int64_t width) {
  if (x_BCYX.size(2) == height && x_BCYX.size(3) == width) return x_BCYX;
  return torch::nn::functional::interpolate(x_BCYX, torch::nn::functional::InterpolateFuncOptions()
                                                        .size(std::vector<int64_t>{height, width})
                                                        .mode(torch::kBilinear)
                                                        .align_corners(false)
                                                        .antialias(true));
}

/// (1 or 3, Y, X) float32, 0..255, without alpha.
torch::Tensor colours_of(const Picture& picture) {
  const auto values = torch::from_blob(const_cast<uint8_t*>(picture.values.data()),
                                       {picture.height, picture.width, picture.channels}, torch::kUInt8);
  const int64_t colours = picture.channels >= 3 ? 3 : 1;
  return values.narrow(2, 0, colours).permute({2, 0, 1}).to(torch::kFloat32).contiguous();
}

std::string size_text(const Picture& picture) { return concat(picture.width, "x", picture.height); }

}  // namespace

void check_plan(const PicturePlan& plan) {
  if (plan.size.size() != 2) throw UsageError("setting plan.size: expected height and width");
  if (plan.channels != 1 && plan.channels != 3)
    throw UsageError(concat("setting plan.channels: expected 1 or 3, got ", plan.channels));
}

torch::Tensor network_input(const Picture& picture, const PicturePlan& plan) {
  const auto values = colours_of(plan.channels == 1 ? to_grey(picture) : picture);
  auto x = resized_maps(values.unsqueeze(0), plan.size[0], plan.size[1])
               .squeeze(0)
               .expand({plan.channels, -1, -1});
  if (plan.intensity == "minmax") {
    const float low = x.min().item<float>(), high = x.max().item<float>();
    if (high > low) x = (x - low) * (255 / (high - low));
  }
  return x.round().clamp(0, 255).to(torch::kUInt8).contiguous();
}

torch::Tensor mask_of(const Picture& mask, int64_t threshold) {
  return (colours_of(to_grey(mask)).squeeze(0) > static_cast<double>(threshold)).to(torch::kUInt8);
}

torch::Tensor resized(const torch::Tensor& map_YX, int64_t height, int64_t width) {
  return resized_maps(map_YX.unsqueeze(0).unsqueeze(0), height, width).squeeze(0).squeeze(0);
}

PreparedCase prepare_picture(const Case& one, const PicturePlan& plan) {
  return with_context("case " + one.id, [&] {
    check_plan(plan);
    const Picture picture = read_picture(one.images.at(0)), mask = read_picture(one.labels);
    require(picture.width == mask.width && picture.height == mask.height, one.labels, ": the mask is ",
            size_text(mask), " pixels, its picture ", size_text(picture));
    PreparedCase out;
    out.id = one.id;
    out.scale = 1.0f / 255;
    out.image_CIJK = network_input(picture, plan);
    const auto share =
        resized(mask_of(mask, plan.mask_threshold).to(torch::kFloat32), plan.size[0], plan.size[1]);
    out.classes_IJK = (share >= 0.5).to(torch::kUInt8).contiguous();
    return out;
  });
}

Preparation picture_preparation(const PicturePlan& plan) {
  PicturePlan preparing = plan;
  preparing.threshold = PicturePlan().threshold;  // of the prediction only
  return {settings_hash(preparing),
          [plan](const Case& one, const Warn&) { return prepare_picture(one, plan); }};
}

}  // namespace mambaseg

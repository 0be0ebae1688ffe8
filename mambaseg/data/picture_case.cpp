#include "mambaseg/data/picture_case.h"

#include <algorithm>
#include <memory>
#include <mutex>

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

/// `tell` hears how a mask without white was read.
PreparedCase prepared(const Case& one, const PicturePlan& plan, const Warn& tell) {
  return with_context("case " + one.id, [&] {
    check_plan(plan);
    require(one.images.size() == 1, "expected one picture, got ", one.images.size(),
            " channels in files of their own");
    const Picture picture = read_picture(one.images[0]);
    const PictureNumbers mask = read_picture_numbers(one.labels);
    require(picture.width == mask.width && picture.height == mask.height, one.labels, ": the mask is ",
            mask.width, "x", mask.height, " pixels, its picture ", picture.width, "x", picture.height);
    PreparedCase out;
    out.id = one.id;
    out.scale = 1.0f / 255;
    out.image_CIJK = network_input(picture, plan);
    const auto structure = with_context(one.labels, [&] { return mask_of(mask, plan.mask_threshold); });
    const int32_t largest = *std::max_element(mask.values.begin(), mask.values.end());
    if (tell && !mask.jpeg && largest > 0 && largest <= plan.mask_threshold)
      tell(concat(one.labels, ": no value is above plan.mask_threshold = ", plan.mask_threshold,
                  "; the structure is where it is ", largest));
    const auto share = resized(structure.to(torch::kFloat32), plan.size[0], plan.size[1]);
    out.classes_IJK = (share >= 0.5).to(torch::kUInt8).contiguous();
    return out;
  });
}

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

torch::Tensor mask_of(const PictureNumbers& mask, int64_t threshold) {
  std::vector<uint8_t> structure = structure_of(mask, threshold);
  return torch::from_blob(structure.data(), {mask.height, mask.width}, torch::kUInt8).clone();
}

torch::Tensor resized(const torch::Tensor& map_YX, int64_t height, int64_t width) {
  return resized_maps(map_YX.unsqueeze(0).unsqueeze(0), height, width).squeeze(0).squeeze(0);
}

PreparedCase prepare_picture(const Case& one, const PicturePlan& plan) { return prepared(one, plan, {}); }

std::vector<std::string> problems_of_pictures(const std::vector<Case>& cases, const PicturePlan& plan,
                                              const Progress& progress) {
  std::vector<std::string> problems;
  bool any = false;
  for (size_t c = 0; c < cases.size(); ++c) {
    try {
      any = prepare_picture(cases[c], plan).classes_IJK.any().item<bool>() || any;
    } catch (const UsageError&) {
      throw;
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
    if (progress)
      progress("reading pictures", static_cast<int64_t>(c + 1), static_cast<int64_t>(cases.size()));
  }
  if (!any && problems.empty())
    problems.push_back(concat("nothing to learn: no mask shows ", plan.structure));
  return problems;
}

Preparation picture_preparation(const PicturePlan& plan) {
  PicturePlan preparing = plan;
  preparing.threshold = PicturePlan().threshold;  // of the prediction only
  return {settings_hash(preparing),
          [plan, told = std::make_shared<std::once_flag>()](const Case& one, const Warn& warn) {
            const Warn once = [&](const std::string& line) {
              std::call_once(*told, [&] { warn(line + " (so with all masks of this kind)"); });
            };
            return prepared(one, plan, warn ? once : Warn());
          }};
}

}  // namespace mambaseg

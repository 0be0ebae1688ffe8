#include "mambaseg/tasks/pictures/picture_case.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <set>

#include <torch/nn/functional.h>
#include <torch/nn/functional/upsampling.h>

#include "mambaseg/core/error.h"
#include "mambaseg/tasks/pictures/picture_labels.h"

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

std::vector<Picture> read_files(const std::vector<std::string>& paths) {
  std::vector<Picture> files;
  for (const std::string& path : paths) files.push_back(read_picture(path));
  return files;
}

/// `tell` hears how a mask without white was read.
PreparedCase prepared(const Case& one, const PicturePlan& plan, const Warn& tell) {
  return with_context("case " + one.id, [&] {
    check_plan(plan);
    const PictureLabels labels(plan);
    const std::vector<Picture> files = read_files(one.images);
    const PictureNumbers mask = read_picture_numbers(one.labels, labels.colours());
    PreparedCase out;
    out.id = one.id;
    out.scale = 1.0f / 255;
    out.image_CIJK = network_input(files, plan);
    require(files[0].width == mask.width && files[0].height == mask.height, one.labels, ": the mask is ",
            mask.width, "x", mask.height, " pixels, its picture ", files[0].width, "x", files[0].height);
    const auto classes =
        with_context(one.labels, [&] { return labels.classes_of(mask, out.unnamed_labels); });
    const int32_t largest = *std::max_element(mask.values.begin(), mask.values.end());
    if (tell && labels.are_masks() && labels.colours().empty() && !labels.scheme().ignores() && !mask.jpeg &&
        largest > 0 && largest <= plan.mask_threshold)
      tell(concat(one.labels, ": no value is above plan.mask_threshold = ", plan.mask_threshold,
                  "; the structure is where it is ", largest));
    out.classes_IJK = resized_classes(classes, plan.size[0], plan.size[1]);
    return out;
  });
}

}  // namespace

void check_plan(const PicturePlan& plan) {
  if (plan.size.size() != 2) throw UsageError("setting plan.size: expected height and width");
  check_labels(plan);
  const MaskColours colours = mask_colours(plan.colours);
  if (plan.files == 1 && plan.channels != 1 && plan.channels != 3)
    throw UsageError(concat("setting plan.channels: expected 1 or 3, got ", plan.channels,
                            "; other numbers need several plan.files a picture"));
  const LabelScheme scheme(plan);
  for (const auto& [name, number] : plan.colours)
    if (!plan.classes.empty() && scheme.class_of(number) == LabelScheme::kUnknown)
      throw UsageError(
          concat("setting plan.colours: \"", name, "\" is label ", number, ", which no class has"));
  std::set<int64_t> written(plan.regions_class_order.begin(), plan.regions_class_order.end());
  for (const LabelClass& one : plan.classes)
    if (plan.regions_class_order.empty()) written.insert(one.ids.front());
  for (const int64_t label : written) {
    const bool coloured = std::any_of(plan.colours.begin(), plan.colours.end(),
                                      [&](const auto& colour) { return colour.second == label; });
    if (!colours.empty() && !coloured)
      throw UsageError(
          concat("setting plan.colours: label ", label, ", which masks are written with, has none"));
    if (colours.empty() && label > 255)
      throw UsageError(
          concat("setting plan.classes: label ", label, " does not fit into the 8 bits of a mask"));
  }
}

void check_channels(const std::vector<Picture>& files, const PicturePlan& plan) {
  require(static_cast<int64_t>(files.size()) == plan.files, "expected plan.files = ", plan.files,
          plan.files == 1 ? " file" : " files", " a picture, got ", files.size());
  int64_t channels = 0;
  for (const Picture& file : files) {
    require(file.width == files[0].width && file.height == files[0].height,
            "expected files of one size for a picture, got ", files[0].width, "x", files[0].height, " and ",
            file.width, "x", file.height, " pixels");
    channels += file.channels >= 3 ? 3 : 1;
  }
  if (plan.files == 1) return;  // made grey, or repeated
  require(channels == plan.channels, "expected plan.channels = ", plan.channels, " channels, got ", channels,
          " in ", files.size(), " files");
}

torch::Tensor network_input(const std::vector<Picture>& files, const PicturePlan& plan) {
  check_channels(files, plan);
  std::vector<torch::Tensor> parts;
  for (const Picture& file : files) {
    const auto values = colours_of(files.size() == 1 && plan.channels == 1 ? to_grey(file) : file);
    auto x = resized_maps(values.unsqueeze(0), plan.size[0], plan.size[1]).squeeze(0);
    if (files.size() == 1) x = x.expand({plan.channels, -1, -1});
    if (plan.intensity == "minmax") {
      const float low = x.min().item<float>(), high = x.max().item<float>();
      if (high > low) x = (x - low) * (255 / (high - low));
    }
    parts.push_back(x);
  }
  return torch::cat(parts).round().clamp(0, 255).to(torch::kUInt8).contiguous();
}

torch::Tensor resized(const torch::Tensor& map_YX, int64_t height, int64_t width) {
  return resized_maps(map_YX.unsqueeze(0).unsqueeze(0), height, width).squeeze(0).squeeze(0);
}

torch::Tensor resized_classes(const torch::Tensor& classes_YX, int64_t height, int64_t width) {
  torch::Tensor out = torch::zeros({height, width}, torch::kUInt8), most;
  const torch::Tensor present = std::get<0>(torch::_unique(classes_YX));
  for (int64_t i = 0; i < present.numel(); ++i) {
    const auto k = present[i].item<int64_t>();
    const auto share = resized(classes_YX.eq(k).to(torch::kFloat32), height, width);
    if (!most.defined()) {
      out.fill_(k);
      most = share;
      continue;
    }
    const auto wins = share >= most;  // a tie goes to the structure, whose number is higher
    out.masked_fill_(wins, k);
    most = torch::maximum(most, share);
  }
  return out;
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
    problems.push_back(concat("nothing to learn: no mask shows ",
                              plan.classes.empty() ? plan.structure : std::string("any class")));
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

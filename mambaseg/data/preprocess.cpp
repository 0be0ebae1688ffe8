#include "mambaseg/data/preprocess.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <type_traits>
#include <utility>

#include "mambaseg/core/error.h"
#include "mambaseg/data/conform.h"
#include "mambaseg/data/intensity.h"
#include "mambaseg/data/interpolate.h"
#include "mambaseg/data/label_scheme.h"
#include "mambaseg/data/planes.h"
#include "mambaseg/data/resize.h"

namespace mambaseg {
namespace {

Volume<float> as_floats(const Image& image) {
  Volume<float> out;
  out.geometry = image.geometry;
  int64_t bad = 0;
  std::visit(
      [&](const auto& values) {
        out.voxels.assign(values.begin(), values.end());
        if constexpr (std::is_floating_point_v<typename std::decay_t<decltype(values)>::value_type>)
          bad =
              std::count_if(out.voxels.begin(), out.voxels.end(), [](float v) { return !std::isfinite(v); });
      },
      image.voxels);
  require(static_cast<int64_t>(out.voxels.size()) == image.geometry.voxel_count() && !out.voxels.empty(),
          "image: expected ", image.geometry.voxel_count(), " voxels and at least one, got ",
          out.voxels.size());
  require(bad == 0, "image: ", bad, " of ", out.voxels.size(), " voxels are NaN or infinite");
  return out;
}

/// How far the box of non-zero voxels reaches beyond the grid it is brought to, in voxels of that grid.
double overhang(const Box& box, const Affine& to_target, const Index3& target) {
  double most = 0;
  for (int corner = 0; corner < 8; ++corner) {
    Vector3 voxel{};
    for (int axis = 0; axis < 3; ++axis)
      voxel[axis] = static_cast<double>((corner >> axis & 1) ? box.end(axis) - 1 : box.start[axis]);
    const Vector3 at = to_target(voxel);
    for (int axis = 0; axis < 3; ++axis)
      most = std::max({most, -0.5 - at[axis], at[axis] - (static_cast<double>(target[axis]) - 0.5)});
  }
  return most;
}

/// The image on `grid`. Interpolated values stay within the range of the image; cubic interpolation of
/// whole-number files gives whole numbers, as nibabel does.
Volume<float> on_grid(const Volume<float>& source, bool whole_numbers, const Geometry& grid, int order) {
  const Affine to_source = voxel_map(grid, source.geometry);
  if (is_index_map(to_source)) order = 0;
  const Sampler sampler(source, order);
  const auto [low, high] = std::minmax_element(source.voxels.begin(), source.voxels.end());
  const double smallest = std::min(0.0F, *low), largest = std::max(0.0F, *high);
  Volume<float> out(grid);
  resample(sampler, to_source, grid.size, [&](size_t index, double value) {
    if (order == 3) {
      value = std::clamp(value, smallest, largest);
      if (whole_numbers) value = std::round(value);
    }
    out.voxels[index] = static_cast<float>(value);
  });
  return out;
}

/// 0..255 in whole numbers; zeros stay (spec 1.9 pitfall b).
void rescale_to_bytes(std::vector<float>& values, const IntensityRange& range) {
  at::parallel_for(0, static_cast<int64_t>(values.size()), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      if (values[i] != 0) values[i] = rescaled_to_byte(values[i], range);
  });
}

/// The range of whole numbers is computed in double, as the official code does: bin edges lie on them.
IntensityRange range_of(const std::vector<float>& values, bool whole_numbers) {
  return whole_numbers ? robust_range(std::vector<double>(values.begin(), values.end()))
                       : robust_range(values);
}

bool holds_bytes(const Image& image) { return std::holds_alternative<std::vector<uint8_t>>(image.voxels); }

bool holds_whole_numbers(const Image& image) {
  return std::visit(
      [](const auto& raw) { return std::is_integral_v<typename std::decay_t<decltype(raw)>::value_type>; },
      image.voxels);
}

/// On a freesurfer grid: 0..255.
void to_conformed_bytes(std::vector<float>& values, const Image& file) {
  if (holds_bytes(file))
    for (float& v : values) v = std::nearbyint(v);
  else
    rescale_to_bytes(values, std::visit([](const auto& raw) { return robust_range(raw); }, file.voxels));
}

/// Every kind of Plan::intensity but robust, on one channel.
void normalise(std::vector<float>& values, const Plan& plan) {
  if (plan.intensity == "zscore") z_score_nonzero(values);
  if (plan.intensity == "zscore_all") z_score(values);
  if (plan.intensity == "ct") normalise_ct(values, plan.ct);
  if (plan.intensity == "unit") rescale_to_unit(values);
}

Vector3 spacing_of(const Plan& plan) { return {plan.spacing[0], plan.spacing[1], plan.spacing[2]}; }

/// The same picture in another orientation.
template <class T>
Volume<T> turned(Volume<T> volume, const std::string& orientation) {
  const std::string now = volume.geometry.orientation();
  return now == orientation ? std::move(volume) : permuted(volume, permutation_between(now, orientation));
}

/// nnU-Net's way to the network: intensities from the file's own voxels, then cubic resampling. With zscore
/// the background stays 0, which splines would blur.
Volume<float> on_spacing(Volume<float> source, bool whole_numbers, const Plan& plan) {
  const Volume<float> image = [&] {
    Volume<float> out = turned(std::move(source), plan.orientation);
    if (plan.intensity == "robust") {
      rescale_to_bytes(out.voxels, range_of(out.voxels, whole_numbers));
      bytes_to_unit(out.voxels);
    } else {
      normalise(out.voxels, plan);
    }
    return out;
  }();
  const Vector3 from = image.geometry.spacing_mm(), to = spacing_of(plan);
  const Index3 size = resized_size(image.geometry.size, from, to);
  const auto separate = separate_axis(from, to);
  Volume<float> out = resized(image, size, 3, separate);
  if (plan.intensity != "zscore" || size == image.geometry.size) return out;
  Volume<uint8_t> inside(image.geometry);
  std::transform(image.voxels.begin(), image.voxels.end(), inside.voxels.begin(),
                 [](float v) { return static_cast<uint8_t>(v != 0); });
  inside = resized_labels(inside, size, separate);
  float* const values = out.voxels.data();
  const uint8_t* const mask = inside.voxels.data();
#pragma omp simd
  for (size_t v = 0; v < out.voxels.size(); ++v) values[v] = mask[v] != 0 ? values[v] : 0;
  return out;
}

/// Classes of an image on the grid that the image is brought to.
Volume<uint8_t> on_network_grid(Volume<uint8_t> classes, const Geometry& grid, const Plan& plan) {
  if (plan.conform != "spacing") return resample_labels(classes, grid);
  const Geometry given = classes.geometry;
  classes = turned(std::move(classes), plan.orientation);
  Volume<uint8_t> out =
      resized_labels(classes, grid.size, separate_axis(classes.geometry.spacing_mm(), spacing_of(plan)));
  require(same_grid(out.geometry, grid), "labels: their grid (", describe(given),
          ") is not that of the image");
  return out;
}

int order_of(const Plan& plan) { return static_cast<int>(plan.conform_order); }

}  // namespace

void check_orientation_and_labels(const Plan& plan) {
  try {
    permutation_between(plan.orientation, plan.orientation);
  } catch (const Error& error) {
    throw UsageError(concat("plan: ", error.what()));
  }
  const auto check_number = [](int64_t id) {
    if (id < 0 || id > std::numeric_limits<int32_t>::max())
      throw UsageError(concat("plan: label numbers lie between 0 and 2147483647, got ", id));
  };
  for (const LabelClass& c : plan.classes)
    for (const int64_t id : c.ids) check_number(id);
  for (const int64_t id : plan.region_labels) check_number(id);
  check_number(plan.ignore_label);
}

void check_plan(const Plan& plan) {
  const auto need = [](bool holds, const std::string& what) {
    if (!holds) throw UsageError("plan: " + what);
  };
  const size_t edges = plan.in_slices() ? 2 : 3;
  need(plan.patch.size() == edges, concat("patch needs ", edges, " edges",
                                          plan.in_slices() ? " of slices" : "", ", got ", plan.patch.size()));
  const int64_t shortest = *std::min_element(plan.patch.begin(), plan.patch.end());
  need(plan.window != "fixed" || plan.step <= shortest,
       concat("step ", plan.step, " would leave voxels between patches of ", shortest,
              " voxels; expected at most ", shortest));
  need(plan.conform_order != 2, "conform_order 2 is not known; expected 1 (linear) or 3 (cubic)");
  need(plan.conform != "freesurfer" || plan.orientation == "LIA",
       "conform = \"freesurfer\" always gives LIA, not " + plan.orientation);
  check_orientation_and_labels(plan);
  need(plan.conform != "spacing" || plan.spacing.size() == 3,
       concat("spacing needs 3 edges, got ", plan.spacing.size()));
  need(plan.region != "labels" || !plan.region_labels.empty(), "region = \"labels\" needs region_labels");
  check_labels(plan);
  check_planes(plan);
}

Geometry network_grid(const Geometry& input, const Plan& plan) {
  if (plan.conform == "freesurfer") return is_conformed(input) ? input : freesurfer_grid(input);
  if (plan.conform == "millimetre") return millimetre_grid(input, plan.orientation);
  const Geometry turned = permuted(input, permutation_between(input.orientation(), plan.orientation));
  if (plan.conform == "none") return turned;
  return resized_grid(turned, resized_size(turned.size, turned.spacing_mm(), spacing_of(plan)));
}

Volume<float> freesurfer_conform(const Image& image, int order) {
  Volume<float> out =
      on_grid(as_floats(image), holds_whole_numbers(image), freesurfer_grid(image.geometry), order);
  to_conformed_bytes(out.voxels, image);
  return out;
}

PreparedImage prepare_image(const Image& image, const Plan& plan, const Warn& warn) {
  Volume<float> source = as_floats(image);
  const auto head = nonzero_box(source);
  require(head.has_value(), "image: all ", source.voxels.size(), " voxels are 0");

  PreparedImage out;
  out.input = image.geometry;
  const Geometry grid = network_grid(image.geometry, plan);
  const double outside = overhang(*head, voxel_map(image.geometry, grid), grid.size);
  if (outside > 0.5 && warn)
    warn(concat("non-zero voxels reach ", std::llround(outside), " voxels beyond the grid of the network (",
                describe(grid), "); they are not segmented"));
  const bool whole_numbers = holds_whole_numbers(image);
  if (plan.conform == "spacing") {
    out.image = on_spacing(std::move(source), whole_numbers, plan);
    return out;
  }
  out.image = on_grid(source, whole_numbers, grid, order_of(plan));

  std::vector<float>& values = out.image.voxels;
  require(std::any_of(values.begin(), values.end(), [](float v) { return v != 0; }),
          "image: nothing but zeros on the grid of the network (", describe(grid), "); the file's grid is ",
          describe(image.geometry));
  if (plan.intensity != "robust") {
    normalise(values, plan);
    return out;
  }
  if (plan.conform == "freesurfer") {
    to_conformed_bytes(values, image);
    // Bytes were not scaled by conform, so they still need the one pass.
    if (holds_bytes(image) || plan.rescale_passes == 2) rescale_to_bytes(values, range_of(values, true));
  } else {
    rescale_to_bytes(values, range_of(values, whole_numbers && order_of(plan) == 3));
  }
  bytes_to_unit(values);
  require(std::any_of(values.begin(), values.end(), [](float v) { return v != 0; }),
          "image: nothing is left above 0 after the robust rescale; is it an intensity image?");
  return out;
}

PreparedImage prepare_images(const std::vector<Image>& channels, const Plan& plan, const Warn& warn) {
  require(!channels.empty(), "image: expected at least one channel");
  PreparedImage out = prepare_image(channels[0], plan, warn);
  for (size_t c = 1; c < channels.size(); ++c) {
    require(same_grid(channels[c].geometry, channels[0].geometry), "image: the grid of channel ", c, " (",
            describe(channels[c].geometry), ") is not that of channel 0 (", describe(channels[0].geometry),
            ")");
    out.further.push_back(prepare_image(channels[c], plan, warn).image);
  }
  return out;
}

torch::Tensor image_tensor(const PreparedImage& image) {
  const torch::Tensor first = tensor_from_volume(image.image).unsqueeze(0);
  if (image.further.empty()) return first;
  std::vector<torch::Tensor> channels{first};
  for (const Volume<float>& channel : image.further)
    channels.push_back(tensor_from_volume(channel).unsqueeze(0));
  return torch::cat(channels);
}

std::optional<Box> head_box(const PreparedImage& image, const Plan& plan) {
  std::optional<Box> box = nonzero_box(image.image);
  for (const Volume<float>& channel : image.further)
    if (const auto other = nonzero_box(channel)) box = box ? joined(*box, *other) : *other;
  if (!box || plan.crop_margin == 0) return box;
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t end = std::min(box->end(axis) + plan.crop_margin, image.image.geometry.size[axis]);
    box->start[axis] = std::max<int64_t>(0, box->start[axis] - plan.crop_margin);
    box->size[axis] = end - box->start[axis];
  }
  return box;
}

Volume<uint8_t> labels_to_classes(const Volume<int32_t>& labels, const Geometry& grid, const Plan& plan) {
  const LabelScheme scheme(plan);
  std::set<int32_t> unknown;
  const auto class_of = [&](int32_t label) {
    int64_t k = scheme.class_of(label);
    if (k == LabelScheme::kUnknown && !plan.classes.empty()) {
      unknown.insert(label);
      k = 0;
    }
    require(k >= 0 && k <= kIgnoredClass, "labels: ", label, " is no class number; expected 0 to ",
            kIgnoredClass);
    return static_cast<uint8_t>(k);
  };
  Volume<uint8_t> classes(labels.geometry);
  int32_t last = 0;  // labels come in runs
  uint8_t its_class = class_of(last);
  for (size_t v = 0; v < labels.voxels.size(); ++v) {
    if (labels.voxels[v] != last) {
      last = labels.voxels[v];
      its_class = class_of(last);
    }
    classes.voxels[v] = its_class;
  }
  if (plan.unknown_labels == "error") {
    std::string list;
    for (const int32_t label : unknown)
      if (list.size() < 40) list += (list.empty() ? "" : ", ") + std::to_string(label);
    require(unknown.empty(), "labels: ", unknown.size(), " numbers belong to no class: ", list);
  }
  return on_network_grid(std::move(classes), grid, plan);
}

Volume<int32_t> classes_to_labels(const Volume<int32_t>& classes, const Geometry& input_grid,
                                  const Plan& plan) {
  Volume<int32_t> out = resample_labels(classes, input_grid);
  const LabelScheme scheme(plan);
  for (int32_t& value : out.voxels) value = static_cast<int32_t>(scheme.label_of(value));
  return out;
}

}  // namespace mambaseg

#include "mambaseg/tasks/volumes/training_slices.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/core/ignored_class.h"
#include "mambaseg/data/crop.h"
#include "mambaseg/data/sides.h"
#include "mambaseg/tasks/volumes/training_patches.h"

namespace mambaseg {
namespace {

constexpr double kLeastScaleFactor = 0.1;  // as FastSurfer has it

/// The part of a case that a patch of slices covers, along the axes of the case.
Index3 covered(const PreparedCase& one, const Plan& plan, const PlaneAxes& axes) {
  const Index3 whole = one.size();
  Index3 size;
  size[axes.row] = std::min(plan.patch[0], whole[axes.row]);
  size[axes.column] = std::min(plan.patch[1], whole[axes.column]);
  size[axes.slice] = 1;
  return size;
}

AugmentSettings along_slices(AugmentSettings settings, const PlaneAxes& axes) {
  settings.flip.resize(3, 0);
  const std::vector<double> flip = settings.flip;
  settings.flip = {flip[axes.row], flip[axes.column], flip[axes.slice]};
  return settings;
}

int along_slices(int axis, const PlaneAxes& axes) {
  return axis == axes.row ? 0 : axis == axes.column ? 1 : 2;
}

/// For every class number that a byte holds.
torch::Tensor every_class(const std::vector<int64_t>& merged) {
  if (merged.empty()) return {};
  auto table = torch::arange(kIgnoredClass + 1, torch::kInt64);
  table.narrow(0, 0, static_cast<int64_t>(merged.size())).copy_(torch::tensor(merged));
  return table;
}

}  // namespace

SliceSampler::SliceSampler(const PreparedCase& one, const SamplingSettings& sampling,
                           const AugmentSettings& augment, const Plan& plan)
    : case_(one),
      plan_(plan),
      axes_(plane_axes(plan.plane, plan.orientation)),
      augment_(along_slices(augment, axes_)),
      side_axis_(along_slices(left_right_axis(plan.orientation), axes_)),
      swapped_(swap_of_every_class(augment, plan)),
      merged_(every_class(merged_classes(plan))),
      positions_(one, sampling, covered(one, plan, axes_), plan) {}

int64_t SliceSampler::bytes() const {
  return bytes_of_sample(case_.image_CIJK.size(0) * plan_.slices, plan_.patch[0] * plan_.patch[1]);
}

/// The slices around one, rows and columns at least those of the patch.
PreparedCase SliceSampler::slab_at(int64_t slice) const {
  PreparedCase slab = case_;
  const auto cut = [&](const torch::Tensor& volume) {
    const auto slices = repeated_slices(slices_of(volume, axes_), slice - plan_.slices / 2, plan_.slices);
    const int64_t rows = slices.size(-3), columns = slices.size(-2);
    if (rows >= plan_.patch[0] && columns >= plan_.patch[1]) return slices.contiguous();
    return cut_box(
        slices,
        {{0, 0, 0}, {std::max(rows, plan_.patch[0]), std::max(columns, plan_.patch[1]), plan_.slices}});
  };
  slab.image_CIJK = cut(case_.image_CIJK);
  slab.classes_IJK = cut(case_.classes_IJK);
  return slab;
}

/// What is told of pixels that the transform has enlarged: a step of one row of the sample is so many mm.
torch::Tensor SliceSampler::drawn_scale_factors(const PatchTransform& transform, Random& random) const {
  const Vector3& mm = case_.spacing_mm;
  const double row_mm = mm[axes_.row], column_mm = mm[axes_.column];
  const auto step_mm = [&](int along) {
    return std::hypot(transform.matrix[0][along] * row_mm, transform.matrix[1][along] * column_mm);
  };
  Vector3 seen = mm;
  seen[axes_.row] = step_mm(0);
  seen[axes_.column] = step_mm(1);
  const double noise =
      augment_.scale_factor_noise > 0 ? augment_.scale_factor_noise * random.normal() : 0;  // of both axes
  const auto [rows, columns] = scale_factors(plan_, axes_, seen);
  return torch::tensor(
      {std::max(kLeastScaleFactor, rows + noise), std::max(kLeastScaleFactor, columns + noise)},
      torch::kFloat32);
}

Sample SliceSampler::draw(int64_t sample, Random random) const {
  const Index3 start = positions_.start(sample, random);
  const Index3 size{plan_.patch[0], plan_.patch[1], plan_.slices};
  const PatchTransform transform = draw_transform(augment_, size, random, TransformOf::slices);
  Sample out = cut_patch(slab_at(start[axes_.slice]), {start[axes_.row], start[axes_.column], 0}, size,
                         transform, side_axis_, swapped_);
  augment_intensity(augment_, out.image, random);
  out.image = slices_as_channels(out.image).contiguous();
  out.classes = out.classes.select(-1, plan_.slices / 2).contiguous();
  if (merged_.defined()) out.classes = merged_.index({out.classes});
  out.scale_factors = drawn_scale_factors(transform, random);
  return out;
}

}  // namespace mambaseg

#include "mambaseg/data/planes.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/data/sides.h"

namespace mambaseg {
namespace {

int axis_along(const std::string& orientation, const char* directions) {
  const size_t axis = orientation.find_first_of(directions);
  if (axis == std::string::npos)
    throw UsageError(concat("orientation \"", orientation, "\" has no axis along ", directions));
  return static_cast<int>(axis);
}

std::vector<int64_t> order_of(const PlaneAxes& axes, int64_t dims) {
  std::vector<int64_t> order(static_cast<size_t>(dims));
  std::iota(order.begin(), order.end(), 0);
  const int64_t first = dims - 3;
  order[static_cast<size_t>(first)] = first + axes.row;
  order[static_cast<size_t>(first + 1)] = first + axes.column;
  order[static_cast<size_t>(first + 2)] = first + axes.slice;
  return order;
}

}  // namespace

PlaneAxes plane_axes(const std::string& plane, const std::string& orientation) {
  const int side = axis_along(orientation, "LR"), height = axis_along(orientation, "IS"),
            depth = axis_along(orientation, "AP");
  if (plane == "axial") return {depth, side, height};
  if (plane == "coronal") return {side, height, depth};
  if (plane == "sagittal") return {depth, height, side};
  throw UsageError(concat("plane: expected axial, coronal or sagittal, got ", plane));
}

torch::Tensor slices_of(const torch::Tensor& volume, const PlaneAxes& axes) {
  return volume.permute(order_of(axes, volume.dim()));
}

torch::Tensor volume_of(const torch::Tensor& slices, const PlaneAxes& axes) {
  const std::vector<int64_t> order = order_of(axes, slices.dim());
  std::vector<int64_t> back(order.size());
  for (size_t a = 0; a < order.size(); ++a) back[static_cast<size_t>(order[a])] = static_cast<int64_t>(a);
  return slices.permute(back);
}

torch::Tensor repeated_slices(const torch::Tensor& slices, int64_t first, int64_t count) {
  const auto index = torch::arange(first, first + count, torch::kInt64).clamp(0, slices.size(-1) - 1);
  return slices.index_select(-1, index.to(slices.device()));
}

torch::Tensor slices_as_channels(const torch::Tensor& slices) {
  return slices.movedim(-1, -3).flatten(-4, -3);
}

std::array<double, 2> scale_factors(const Plan& plan, const PlaneAxes& axes, const Vector3& spacing_mm) {
  // FastSurfer takes the voxel size along head-feet for the columns of axial slices; its voxels are cubes.
  return {plan.base_resolution / spacing_mm[static_cast<size_t>(axes.row)],
          plan.base_resolution / spacing_mm[static_cast<size_t>(axes.column)]};
}

double plane_weight(const Plan& plan) {
  return plan.plane_weights.at(plan.plane == "axial" ? 0 : plan.plane == "coronal" ? 1 : 2);
}

std::vector<int64_t> merged_classes(const Plan& plan) {
  if (plan.plane != "sagittal" || !plan.merge_sides || plan.classes.empty()) return {};
  if (plan.merged_classes.empty()) return classes_without_sides(plan.classes);
  std::vector<int64_t> merged{0};
  merged.insert(merged.end(), plan.merged_classes.begin(), plan.merged_classes.end());
  return merged;
}

int64_t merged_score_maps(const std::vector<int64_t>& merged, int64_t planned) {
  return merged.empty() ? planned : 1 + *std::max_element(merged.begin(), merged.end());
}

void check_planes(const Plan& plan) {
  if (!plan.in_slices()) return;
  const auto need = [](bool holds, const std::string& what) {
    if (!holds) throw UsageError("plan: " + what);
  };
  need(plan.slices % 2 == 1, concat("slices: expected an odd number, got ", plan.slices));
  need(plan.region == "brain",
       "slices are not cut around labels of an earlier stage; expected region = \"brain\"");
  need(plan.mirror.empty(), "slices are not mirrored at prediction; expected mirror = []");
  need(plan.plane_weights.size() == 3,
       concat("plane_weights: expected 3 (axial, coronal, sagittal), got ", plan.plane_weights.size()));
  need(plane_weight(plan) > 0, concat("plane_weights: that of ", plan.plane, " slices is 0"));
  const std::vector<int64_t>& merged = plan.merged_classes;
  if (!merged.empty()) {
    need(merged.size() == plan.classes.size(), concat("merged_classes: expected one number for each of ",
                                                      plan.classes.size(), " classes, got ", merged.size()));
    const std::set<int64_t> numbers(merged.begin(), merged.end());
    need(*numbers.begin() == 1 && *numbers.rbegin() == static_cast<int64_t>(numbers.size()),
         "merged_classes: expected the numbers 1, 2, ... without gaps");
  }
  need(plan.regions_class_order.empty() || merged_classes(plan).empty(),
       "sides are not merged where classes are regions; expected merge_sides = false");
}

}  // namespace mambaseg

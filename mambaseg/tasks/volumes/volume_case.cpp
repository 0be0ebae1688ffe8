#include "mambaseg/tasks/volumes/volume_case.h"

#include <algorithm>
#include <set>
#include <utility>

#include "mambaseg/data/crop.h"
#include "mambaseg/data/preprocess.h"
#include "mambaseg/io/channels.h"
#include "mambaseg/tasks/volumes/packed_volume.h"

namespace mambaseg {
namespace {

Index3 patch_of(const Plan& plan) {
  if (plan.patch.size() != 3) throw UsageError("setting plan.patch: training on volumes needs three edges");
  return {plan.patch[0], plan.patch[1], plan.patch[2]};
}

/// Throws Error when every voxel of an image has one value other than 0, which prepare_image refuses.
void require_contrast(const Image& image) {
  std::visit(
      [](const auto& voxels) {
        const bool constant =
            std::all_of(voxels.begin(), voxels.end(), [&](auto v) { return v == voxels.front(); });
        require(!constant || voxels.front() == 0, "every voxel has the value ", +voxels.front(),
                "; expected an image");
      },
      image.voxels);
}

/// Numbers that belong to no class of the plan.
std::vector<int64_t> unnamed_labels(const Volume<int32_t>& labels, const Plan& plan) {
  if (plan.classes.empty()) return {};
  std::set<int64_t> found;
  int32_t last = 0;
  for (const int32_t label : labels.voxels)
    if (label != last) found.insert(last = label);
  found.erase(0);
  found.erase(plan.ignore_label);
  for (const LabelClass& one : plan.classes)
    for (const int64_t id : one.ids) found.erase(id);
  return {found.begin(), found.end()};
}

/// The box that training looks at, before it is widened to a patch.
Box training_box(const Case& one, const Plan& plan, const PreparedImage& prepared, const Warn& warn) {
  const Volume<float>& image = prepared.image;
  const Index3& size = image.geometry.size;
  if (plan.region == "labels") {
    const std::string& path = one.region.empty() ? one.labels : one.region;
    Plan ids = plan;  // the earlier stage's labels as they are, on the network's grid
    ids.unknown_labels = "background";
    ids.classes.clear();
    ids.regions_class_order.clear();
    ids.ignore_label = 0;
    for (const int64_t id : plan.region_labels) ids.classes.push_back({concat(id), {id}});
    const auto box = nonzero_box(labels_to_classes(read_labels(path, warn), image.geometry, ids));
    require(box.has_value(), path, ": none of plan.region_labels occurs");
    return region_box(*box, patch_of(plan), plan.step, size);
  }
  if (!plan.crop_to_brain) return whole_box(size);
  const auto box = head_box(prepared, plan);
  require(box.has_value(), one.images[0], ": all voxels are zero after preparation");
  return *box;
}

/// Grows a box that is smaller than the patch, half of the growth before.
Box at_least_patch(Box box, const Index3& patch) {
  for (int a = 0; a < 3; ++a) {
    const int64_t missing = std::max<int64_t>(0, patch[a] - box.size[a]);
    box.start[a] -= missing / 2;
    box.size[a] += missing;
  }
  return box;
}

/// Voxels of the file or of the network's grid, 0 where the file cannot be read (which reading will tell).
int64_t largest_grid(const Case& one, const Plan& plan) {
  try {
    const Geometry file = read_geometry(one.images.at(0));
    return std::max(file.voxel_count(), network_grid(file, plan).voxel_count());
  } catch (const Error&) {
    return 0;
  }
}

}  // namespace

void require_on_grid(const Volume<int32_t>& labels, const std::string& path, const Geometry& image) {
  const Vector3 spacing = image.spacing_mm();
  const double tenth_of_a_voxel = 0.1 * std::min({spacing[0], spacing[1], spacing[2]});
  require(same_grid(labels.geometry, image, tenth_of_a_voxel), "the labels ", path, " (",
          describe(labels.geometry), ") are not on the grid of the image (", describe(image), ")");
}

std::string plan_hash(const Plan& plan) {
  const Plan usual;
  Plan preparing = plan;  // what matters at prediction only is left out
  preparing.window = usual.window;
  preparing.step_fraction = usual.step_fraction;
  preparing.mirror = usual.mirror;
  if (plan.region == "brain") preparing.step = usual.step;
  if (plan.in_slices()) {  // models of all planes can be trained on the same cases
    preparing.plane = "axial";
    preparing.slices = usual.slices;
    preparing.plane_weights = usual.plane_weights;
    preparing.merge_sides = usual.merge_sides;
    preparing.merged_classes = usual.merged_classes;
    preparing.base_resolution = usual.base_resolution;
    preparing.patch = usual.patch;
  }
  return settings_hash(preparing);
}

PreparedCase prepare_case(const Case& one, const Plan& plan, const Warn& warn) {
  return with_context("case " + one.id, [&] {
    check_plan(plan);
    PreparedCase out;
    out.id = one.id;
    PreparedImage channels;
    bool first = true;
    for (const std::string& path : one.images)
      for (const Image& file : read_channels(path, warn)) {
        PreparedImage channel = with_context(path, [&] {
          require_contrast(file);
          return prepare_image(file, plan, warn);
        });
        if (std::exchange(first, false)) {
          channels = std::move(channel);
          continue;
        }
        require(same_grid(channels.image.geometry, channel.image.geometry), path, ": its grid (",
                describe(channel.image.geometry), ") is not that of the first channel (",
                describe(channels.image.geometry), ")");
        channels.further.push_back(std::move(channel.image));
      }
    const Geometry grid = channels.image.geometry;
    Box box = training_box(one, plan, channels, warn);
    if (!plan.in_slices()) box = at_least_patch(box, patch_of(plan));
    Volume<int32_t> labels = read_labels(one.labels, warn);
    require_on_grid(labels, one.labels, channels.input);
    labels.geometry = channels.input;
    out.unnamed_labels = unnamed_labels(labels, plan);
    out.spacing_mm = grid.spacing_mm();
    const Volume<uint8_t> classes =
        with_context(one.labels, [&] { return labels_to_classes(labels, grid, plan); });
    out.image_CIJK = packed_image(channels, box, out.scale);
    out.classes_IJK = packed_classes(classes, box);
    return out;
  });
}

Preparation volume_preparation(const Plan& plan) {
  const auto prepare = [plan](const Case& one, const Warn& warn) { return prepare_case(one, plan, warn); };
  // Of each voxel: the file's bytes, floats as read, turned and resampled, the non-zero mask, labels as read,
  // turned and as classes; and the channels that are ready, twice when they are joined. The network's grid
  // may be the larger one.
  const auto bytes = [plan](const Case& one) {
    constexpr int64_t kInWork = 32, kReady = 8;
    return largest_grid(one, plan) * (kInWork + kReady * static_cast<int64_t>(one.images.size()));
  };
  return {plan_hash(plan), prepare, bytes};
}

}  // namespace mambaseg

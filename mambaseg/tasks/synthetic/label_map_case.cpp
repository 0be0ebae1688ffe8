#include "mambaseg/tasks/synthetic/label_map_case.h"

#include <algorithm>
#include <map>
#include <set>

#include "mambaseg/data/crop.h"
#include "mambaseg/data/interpolate.h"
#include "mambaseg/data/label_scheme.h"
#include "mambaseg/data/preprocess.h"
#include "mambaseg/io/image.h"
#include "mambaseg/tasks/volumes/volume_case.h"

namespace mambaseg {
namespace {

/// Edge of the voxels that the plan asks for.
double voxel_mm_of(const Plan& plan) {
  if (plan.conform == "none")
    throw UsageError(
        "setting plan.conform: synthesis needs voxels of one size: freesurfer, millimetre or spacing");
  if (plan.conform != "spacing") return 1;
  if (plan.spacing.size() != 3 || plan.spacing[0] != plan.spacing[1] || plan.spacing[0] != plan.spacing[2])
    throw UsageError("setting plan.spacing: synthesis needs voxels that are cubes, for example [2, 2, 2]");
  return plan.spacing[0];
}

}  // namespace

PreparedCase prepare_label_map(const Case& one, const Plan& plan, const Warn& warn) {
  return with_context("case " + one.id, [&] {
    check_plan(plan);
    voxel_mm_of(plan);
    Volume<int32_t> labels = read_labels(one.labels, warn);
    std::set<int32_t> unknown;
    std::map<int32_t, int32_t> index_of;
    for (int32_t& label : labels.voxels) {
      auto found = index_of.find(label);
      if (found == index_of.end()) {
        const int index = head_label_index(label);
        if (index < 0) unknown.insert(label);
        found = index_of.emplace(label, std::max(0, index)).first;
      }
      label = found->second;
    }
    std::string list;
    for (const int32_t label : unknown)
      if (list.size() < 40) list += (list.empty() ? "" : ", ") + std::to_string(label);
    require(unknown.empty(), one.labels, ": ", unknown.size(),
            " label numbers that are none of FreeSurfer's or SynthSeg's for a head: ", list);

    const Volume<int32_t> on_grid = resample_labels(labels, network_grid(labels.geometry, plan));
    const torch::Tensor indices = tensor_from_volume(on_grid).to(torch::kUInt8);
    Volume<uint8_t> labelled(on_grid.geometry);
    std::transform(on_grid.voxels.begin(), on_grid.voxels.end(), labelled.voxels.begin(),
                   [](int32_t label) { return static_cast<uint8_t>(label != 0); });
    const auto box = nonzero_box(labelled);
    require(box.has_value(), one.labels, ": no labels on the grid of the network");

    const LabelScheme scheme(plan);
    torch::Tensor class_of = torch::zeros({256}, torch::kUInt8);
    for (size_t index = 0; index < head_labels().size(); ++index)
      class_of[static_cast<int64_t>(index)] =
          std::max<int64_t>(0, scheme.class_of(head_labels()[index].number));
    PreparedCase out;
    out.id = one.id;
    out.scale = 1.0f / 255;
    out.label_map = true;
    out.image_CIJK = cut_box(indices, *box).unsqueeze(0).contiguous();
    out.classes_IJK = class_of.index_select(0, out.image_CIJK.flatten().to(torch::kInt64))
                          .view(out.image_CIJK.sizes().slice(1));
    require(out.classes_IJK.any().item<bool>(), one.labels,
            ": none of the structures of plan.classes occurs");
    return out;
  });
}

Preparation label_map_preparation(const Plan& plan) {
  const auto prepare = [plan](const Case& one, const Warn& warn) {
    return prepare_label_map(one, plan, warn);
  };
  const auto bytes = [plan](const Case& one) -> int64_t {
    constexpr int64_t kInWork = 40;  // of a voxel: the file's bytes, labels as read and on the grid, indices
    try {
      const Geometry file = read_geometry(one.labels);
      return kInWork * std::max(file.voxel_count(), network_grid(file, plan).voxel_count());
    } catch (const Error&) {
      return 0;  // reading will tell
    }
  };
  std::string table;  // the indices that cases hold are of this table
  for (const HeadLabel& label : head_labels()) table += std::to_string(label.number) + " ";
  return {hash_of_text("label maps " + plan_hash(plan) + " " + table), prepare, bytes};
}

SyntheticSampler::SyntheticSampler(const PreparedCase& one, const SynthesisSettings& settings,
                                   const Plan& plan)
    : case_(one),
      samples_(settings.samples_per_case),
      patch_voxels_(1),
      synthesis_({one.image_CIJK[0], plan.orientation, voxel_mm_of(plan)}, settings, plan) {
  for (const int64_t edge : plan.patch) patch_voxels_ *= edge;
}

int64_t SyntheticSampler::bytes() const { return bytes_of_sample(1, patch_voxels_); }

Sample SyntheticSampler::draw(int64_t /*sample*/, Random random) const { return synthesis_.draw(random); }

}  // namespace mambaseg

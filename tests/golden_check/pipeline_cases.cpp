#include <array>

#include "mambaseg/data/crop.h"
#include "mambaseg/data/label_tables.h"
#include "mambaseg/data/preprocess.h"
#include "tests/golden_check/pipeline_findings.h"

namespace mambaseg {
namespace {

const Index3 kPatch{96, 96, 96};

int64_t python_modulo(int64_t a, int64_t b) { return ((a % b) + b) % b; }

Geometry plain_grid(const Index3& size) {
  Geometry out;
  out.size = size;
  return out;
}

torch::Tensor margins(const Box& box, const Index3& size) {
  auto out = torch::zeros({3, 2}, torch::kInt64);
  for (int axis = 0; axis < 3; ++axis) {
    out[axis][0] = box.start[axis];
    out[axis][1] = size[axis] - box.end(axis);
  }
  return out;
}

GoldenResult check_patch_coordinates(const GoldenCase& golden) {
  PipelineFindings found;
  const Json& cases = golden.args.at("shape_patch_step");
  for (size_t c = 0; c < cases.size(); ++c) {
    const int64_t patch = cases[c][1];
    const auto starts = patch_starts(index3(cases[c][0]), {patch, patch, patch}, cases[c][2]);
    auto value = torch::zeros({static_cast<int64_t>(starts.size()), 3}, torch::kInt64);
    for (size_t p = 0; p < starts.size(); ++p)
      for (int axis = 0; axis < 3; ++axis) value[p][axis] = starts[p][axis];
    const std::string name = concat("coords_", c);
    found.equal(name, golden.at("output." + name), value);
  }
  return found.result();
}

GoldenResult check_pad_or_crop(const GoldenCase& golden) {
  PipelineFindings found;
  const torch::Tensor& x = golden.at("input.x");
  const Json& paddings = golden.args.at("padding");
  for (size_t c = 0; c < paddings.size(); ++c) {
    Box box;
    for (int axis = 0; axis < 3; ++axis) {
      const int64_t before = paddings[c][axis][0], after = paddings[c][axis][1];
      const int64_t kept = x.size(axis) - std::max<int64_t>(0, -before) - std::max<int64_t>(0, -after);
      box.start[axis] = -before;
      box.size[axis] =
          std::max<int64_t>(0, kept) + std::max<int64_t>(0, before) + std::max<int64_t>(0, after);
    }
    const std::string name = concat("y_", c);
    found.equal(name, golden.at("output." + name), cut_box(x, box));
  }
  return found.result();
}

GoldenResult check_label_maps(const GoldenCase& golden) {
  PipelineFindings found;
  for (const auto& [name, classes] : {std::pair{"aseg", freesurfer_subcortical_classes()},
                                      std::pair{"hsf", freesurfer_hippocampal_classes()}}) {
    const torch::Tensor& index = golden.at(std::string("input.") + name + "_idx");
    Plan plan;
    plan.classes = classes;
    const Geometry line = plain_grid({index.numel(), 1, 1});
    const auto labels = classes_to_labels(labels_from_tensor(index.reshape({-1, 1, 1}), line), line, plan);
    found.equal(name, golden.at(std::string("output.") + name), tensor_from_volume(labels).flatten());
  }
  return found.result();
}

/// Which rules the official crop_images_full_flush_single breaks on one axis, from the slices that are not
/// empty.
struct OfficialCrop {
  bool shifts = false;      // c: empty slices inside are dropped
  bool too_small = false;   // d: ends below the patch
  bool extra_step = false;  // e: a size that fits gets another step
};

OfficialCrop official_crop(const torch::Tensor& image, int axis, const Box& head, int64_t step) {
  const auto used = image.ne(0).movedim(axis, 0).flatten(1).any(1);
  const int64_t slices = used.sum().item<int64_t>();
  const int64_t over = python_modulo(slices - kPatch[axis], step);
  OfficialCrop out;
  out.shifts = slices != head.size[axis];
  out.too_small = slices + step - over < kPatch[axis];
  out.extra_step = over == 0 && slices >= kPatch[axis];
  return out;
}

GoldenResult check_crop(const GoldenCase& golden) {
  PipelineFindings found;
  const Json& cases = golden.args.at("cases");
  for (size_t c = 0; c < cases.size(); ++c) {
    const Index3 size = index3(cases[c][0]), block = index3(cases[c][1]), offset = index3(cases[c][2]);
    const int64_t step = cases[c][3];
    const auto along = [&](int axis) {
      std::vector<int64_t> shape(3, 1);
      shape[static_cast<size_t>(axis)] = block[axis];
      return golden.at(concat("input.v", axis, "_", c)).to(torch::kInt64).reshape(shape);
    };
    auto values = (7 * along(0) + 5 * along(1) + 3 * along(2)).remainder(256);
    values[0][0][0] = values[-1][-1][-1] = values[0][-1][0] = 255;
    if (!cases[c][4].is_null())
      values.slice(0, cases[c][4].get<int64_t>(), cases[c][4].get<int64_t>() + 3).zero_();
    auto image = torch::zeros({size[0], size[1], size[2]}, torch::kInt64);
    paste_box(image, values, {offset, block});

    const auto head = nonzero_box(volume_from_tensor(image, plain_grid(size)));
    if (!head) throw Error("crop case without a non-zero voxel");
    const Box box = widened_for_patches(*head, kPatch, step);
    const torch::Tensor cropped = cut_box(image, box);
    const int64_t patches = static_cast<int64_t>(patch_starts(box.size, kPatch, step).size());
    auto back = torch::zeros_like(image);
    paste_box(back, cropped, box);
    const auto output = [&](const std::string& name) -> const torch::Tensor& {
      return golden.at(concat("output.", name, "_", c));
    };

    bool official_is_right = true, official_is_shifted = false;
    for (int axis = 0; axis < 3; ++axis) {
      const OfficialCrop official = official_crop(image, axis, *head, step);
      if (official.shifts) found.differs("c");
      if (official.too_small) found.differs("d");
      if (official.extra_step) found.differs("e");
      const bool right = !official.shifts && !official.too_small && !official.extra_step;
      official_is_right = official_is_right && right;
      official_is_shifted = official_is_shifted || official.shifts;
      if (right) {
        found.equal("padding", output("padding")[axis], margins(box, size)[axis]);
        found.equal("shape", output("shape")[axis], size_tensor(box.size)[axis]);
      }
      // The rules themselves: all of the head, at least a patch, whole steps, none too many.
      found.require(box.start[axis] <= head->start[axis] && box.end(axis) >= head->end(axis), "head cut off");
      found.require(box.size[axis] >= kPatch[axis] && (box.size[axis] - kPatch[axis]) % step == 0,
                    "not aligned");
      found.require(box.size[axis] - std::max(head->size[axis], kPatch[axis]) < step, "a step too many");
    }
    if (official_is_right) {
      found.equal("cropped", output("sub"), every(cropped, {7, 7, 7}));
      found.equal("checksum", output("csum"), checksum(cropped));
      found.equal("patches", output("n_patches"), torch::tensor({patches}));
    }
    found.require(patches >= 1, "no patch");
    found.equal("what comes back", image, back);
    found.equal("back_shape", output("back_shape"), size_tensor(size));
    if (!official_is_shifted) found.equal("back_csum", output("back_csum"), checksum(back));
  }
  return found.result();
}

GoldenResult check_region(const GoldenCase& golden) {
  constexpr int64_t kStep = 16;
  PipelineFindings found;
  const Json& cases = golden.args.at("cases");
  for (size_t c = 0; c < cases.size(); ++c) {
    const Index3 size = index3(cases[c][0]);
    auto labels = torch::zeros({size[0], size[1], size[2]}, torch::kInt64);
    paste_box(labels, torch::full({4, 4, 4}, 18), {{5, 5, 5}, {4, 4, 4}});
    for (const Json& b : cases[c][1]) {
      const Box box{{b[1], b[3], b[5]},
                    {b[2].get<int64_t>() - b[1].get<int64_t>(), b[4].get<int64_t>() - b[3].get<int64_t>(),
                     b[6].get<int64_t>() - b[5].get<int64_t>()}};
      paste_box(labels, torch::full({box.size[0], box.size[1], box.size[2]}, b[0].get<int64_t>()), box);
    }
    const auto ramp = [&](int axis, int64_t factor) {
      std::vector<int64_t> shape(3, 1);
      shape[static_cast<size_t>(axis)] = size[axis];
      return factor * torch::arange(size[axis]).reshape(shape);
    };
    const torch::Tensor image = (ramp(0, 7) + ramp(1, 13) + ramp(2, 29)).remainder(251);

    const auto region = label_box(labels_from_tensor(labels, plain_grid(size)), freesurfer_hippocampus_ids());
    if (!region) {  // the official code fails; two_stage skips the stage with a warning
      found.differs("h");
      continue;
    }
    const Box box = region_box(*region, kPatch, kStep, size);
    const torch::Tensor crop = cut_box(image, box);
    bool official_is_right = true;
    for (int axis = 0; axis < 3; ++axis) {
      const int64_t missing = kPatch[axis] - region->size[axis];
      const int64_t start = region->start[axis] - missing / 2;
      official_is_right =
          official_is_right && missing >= 0 && start >= 0 && start + kPatch[axis] <= size[axis];
      found.require(box.start[axis] <= region->start[axis] && box.end(axis) >= region->end(axis),
                    "region cut off");
      found.require(box.size[axis] >= kPatch[axis] && (box.size[axis] - kPatch[axis]) % kStep == 0,
                    "not aligned");
      if (box.size[axis] <= size[axis])
        found.require(box.start[axis] >= 0 && box.end(axis) <= size[axis], "box leaves the volume");
    }
    auto back = torch::full_like(image, -1);
    paste_box(back, crop, box);
    found.require(back.ne(-1).logical_and(back.ne(image)).any().item<bool>() == false, "voxels moved");
    if (!official_is_right) {
      found.differs("h");
      continue;
    }
    const auto output = [&](const std::string& name) -> const torch::Tensor& {
      return golden.at(concat("output.", name, "_", c));
    };
    found.equal("shape", output("shape").slice(0, 2), size_tensor(box.size));
    found.equal("padding", output("padding"), margins(box, size));
    found.equal("sum", output("sum"), crop.sum().reshape({1}));
    found.equal("csum", output("csum"), checksum(crop));
    found.equal("crop", output("sub"), every(crop, {9, 9, 9}));
  }
  return found.result();
}

constexpr std::array<GoldenCheck, 10> kChecks{{
    {"sequential_patch_iter", check_patch_coordinates},
    {"pad_or_crop_array", check_pad_or_crop},
    {"map_fs_aseg_labels, map_fs_hsf_labels", check_label_maps},
    {"crop_images_full_flush_single + pad_or_crop_array", check_crop},
    {"get_cropped_input", check_region},
    {"conform", check_conform_file},
    {"conform, getscale, rescale (order 1 and 0)", check_conform_array},
    {"nibabel.processing.conform (no_conform=True branch, the default)", check_nibabel_conform},
    {"run_and_reconstruct", check_run_and_reconstruct},
    {"run_aseg", check_run_aseg},
}};

}  // namespace

std::span<const GoldenCheck> pipeline_checks() { return kChecks; }

}  // namespace mambaseg

#include <cmath>

#include "mambaseg/data/conform.h"
#include "mambaseg/data/interpolate.h"
#include "mambaseg/data/label_tables.h"
#include "mambaseg/infer/two_stage.h"
#include "tests/golden_check/pipeline_findings.h"

namespace mambaseg {
namespace {

constexpr double kLabelTies = 2e-3;  // fraction of labels that rounding ties may change

/// conv3d over patches of one channel with the weights of the file.
torch::Tensor convolve(const GoldenCase& golden, const torch::Tensor& x) {
  const torch::Tensor& weight = golden.at("weights.conv.weight");
  return torch::conv3d(x, weight, golden.at("weights.conv.bias"), 1, weight.size(2) / 2);
}

/// The 1x1 convolution of the end-to-end cases.
class PointwiseNetwork : public Network {
 public:
  explicit PointwiseNetwork(const GoldenCase& golden) : golden_(golden) {}
  Extent size_multiples() const override { return {1, 1, 1}; }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override { return {convolve(golden_, x)}; }

 private:
  const GoldenCase& golden_;
};

Image image_of(const GoldenCase& golden) {
  torch::Tensor image = golden.at("input.block_u8").to(torch::kFloat32);
  for (int axis = 0; axis < 3; ++axis)
    image = image.repeat_interleave(golden.at("input.up")[axis].item<int64_t>(), axis);
  const Geometry geometry =
      geometry_of({image.size(0), image.size(1), image.size(2)}, golden.at("input.affine"));
  const auto values = volume_from_tensor(image, geometry).voxels;
  return {geometry, std::vector<uint8_t>(values.begin(), values.end())};
}

/// What the official crop and padding do to the labels; its step is 32 whatever was asked for (pitfall a).
struct OfficialCrop {
  bool labels_stay = true;  ///< not shifted (c) and not all background (d)
  bool same_box =
      true;  ///< no padding of an extra step (e), which the network labels as well, nor another step
};

OfficialCrop official_crop(PipelineFindings& found, const torch::Tensor& image, int64_t asked_step) {
  constexpr int64_t kPatch = 96, kStep = 32;
  OfficialCrop out;
  if (asked_step != kStep) found.differs("a"), out.same_box = false;
  for (int axis = 0; axis < 3; ++axis) {
    const auto used = torch::nonzero(image.ne(0).movedim(axis, 0).flatten(1).any(1)).flatten();
    const int64_t slices = used.numel();
    const int64_t over = ((slices - kPatch) % kStep + kStep) % kStep;
    if (used[-1].item<int64_t>() - used[0].item<int64_t>() + 1 != slices)
      found.differs("c"), out.labels_stay = false;
    if (slices + kStep - over < kPatch) found.differs("d"), out.labels_stay = false;
    if (over == 0 && slices >= kPatch) found.differs("e"), out.same_box = false;
  }
  return out;
}

torch::Tensor box_mask(const torch::Tensor& like, const Box& box) {
  auto out = torch::zeros_like(like);
  paste_box(out, torch::ones({box.size[0], box.size[1], box.size[2]}), box);
  return out;
}

/// The network on every voxel of a prepared volume by itself: what must come back whatever patches were used.
torch::Tensor pointwise_labels(const GoldenCase& golden, const torch::Tensor& image, const Plan& plan) {
  std::vector<int64_t> ids{0};
  for (const LabelClass& c : plan.classes) ids.push_back(c.ids.front());
  const auto classes = convolve(golden, image.reshape({1, 1, image.size(0), image.size(1), image.size(2)}));
  return torch::tensor(ids).index({classes.argmax(1)[0]});
}

}  // namespace

GoldenResult check_run_and_reconstruct(const GoldenCase& golden) {
  constexpr double kTolerance = 2e-6, kTie = 1e-6;
  PipelineFindings found;
  const int64_t patch = golden.args.at("patch_size");
  SlidingWindow window;
  window.patch = {patch, patch, patch};
  window.step = golden.args.at("step");
  window.classes = golden.args.at("num_classes");
  const torch::Tensor& image = golden.at("input.image");
  auto votes = torch::zeros({window.classes, image.size(0), image.size(1), image.size(2)});
  vote(
      image, window, [&](const torch::Tensor& x) { return torch::softmax(4 * convolve(golden, x), 1); },
      [&](const torch::Tensor& part, int64_t first) { votes.narrow(3, first, part.size(3)).copy_(part); });
  const auto probabilities = torch::softmax(votes, 0);
  found.near("prob", golden.at("output.prob"), probabilities, kTolerance);
  const auto best = std::get<0>(golden.at("output.prob").topk(2, 0));
  const auto clear = (best[0] - best[1]).ge(kTie).logical_or((best[0] - best[1]).eq(0));
  found.equal("argmax", golden.at("output.argmax") * clear, votes.argmax(0) * clear);
  return found.result();
}

GoldenResult check_run_aseg(const GoldenCase& golden) {
  PipelineFindings found;
  const bool own_axes = golden.args.at("no_conform");
  Plan plan;
  plan.conform = own_axes ? "millimetre" : "freesurfer";
  plan.conform_order = own_axes ? 3 : 1;
  plan.rescale_passes = 2;
  plan.step = golden.args.at("step_size");
  plan.classes = freesurfer_subcortical_classes();
  const Image image = image_of(golden);
  const Predictor predictor({{std::make_shared<PointwiseNetwork>(golden), {}}}, plan, {});
  const PreparedImage prepared = prepare_image(image, plan);
  const torch::Tensor prepared_ijk = tensor_from_volume(prepared.image);
  const Work work = predictor.plan_work(prepared);
  const Volume<int32_t> classes = predictor.classes(prepared, work);
  const torch::Tensor on_grid = tensor_from_volume(classes_to_labels(classes, classes.geometry, plan));
  const Volume<int32_t> labels = classes_to_labels(classes, image.geometry, plan);
  const torch::Tensor saved = tensor_from_volume(labels);

  // Ours against the rule: each voxel's own label inside the box, background outside, on the grid that came
  // in.
  auto expected = torch::zeros_like(on_grid);
  paste_box(expected, cut_box(pointwise_labels(golden, prepared_ijk, plan), work.box), work.box);
  found.mostly_equal("labels on the grid of the network", expected, on_grid, 1e-4);
  found.near("affine that comes back", golden.at("input.affine"),
             affine_tensor(labels.geometry.voxel_to_ras_mm), 0);
  found.equal("size that comes back", size_tensor(image.geometry.size), size_tensor(labels.geometry.size));

  // The official conformed grid: wrong for images that are not RAS (pitfall g); only for 1 mm voxels is it
  // ours.
  const Index3& official_size = index3(golden.at("output.conformed_shape"));
  const bool same_size = official_size == classes.geometry.size;
  const OfficialCrop crop = official_crop(found, prepared_ijk, plan.step);
  // Where the boxes differ, both are compared inside ours only.
  const auto in_box = crop.same_box ? torch::ones_like(on_grid) : box_mask(on_grid, work.box);
  if (same_size) {
    const auto bytes = (prepared_ijk * 255).round();
    found.mostly_equal("conformed", golden.at("output.conformed_sub_u8"), every(bytes, {13, 13, 13}),
                       kLabelTies);
    const auto mask = every(in_box, {11, 11, 11});
    if (crop.labels_stay)
      found.mostly_equal("conformed labels", golden.at("output.aseg_conf_sub") * mask,
                         every(on_grid, {11, 11, 11}) * mask, kLabelTies);
  } else {
    bool millimetres = true;
    for (const double spacing : image.geometry.spacing_mm())
      millimetres = millimetres && std::abs(spacing - 1) < 1e-3;
    found.require(own_axes && (!millimetres || image.geometry.orientation() != "RAS"),
                  "conformed grid differs");
    found.differs("g");
  }

  // The official file: a constant affine (f), right only where it is the image's own.
  const bool same_affine =
      (golden.at("output.saved_affine") - golden.at("input.affine")).abs().max().item<double>() < 1e-4;
  const bool same_shape = index3(golden.at("output.saved_shape")) == image.geometry.size;
  if (!same_affine || !same_shape) found.differs("f");
  if (same_size && crop.labels_stay && same_affine && same_shape) {
    const auto mask = every(
        tensor_from_volume(resample_labels(labels_from_tensor(in_box, classes.geometry), image.geometry)),
        {10, 10, 10});
    found.mostly_equal("saved", golden.at("output.saved_sub") * mask, every(saved, {10, 10, 10}) * mask,
                       kLabelTies);
    if (crop.same_box) {
      const auto unique = at::_unique2(saved.flatten(), true, false, true);
      found.equal("saved_labels", golden.at("output.saved_labels"), std::get<0>(unique));
      found.histogram("saved_counts", golden.at("output.saved_counts"), std::get<2>(unique), kLabelTies);
    }
  } else {
    // What comes back equals what went in: each voxel of the file carries the label of its place on the
    // network's grid.
    found.equal(
        "saved",
        tensor_from_volume(resample_labels(labels_from_tensor(expected, classes.geometry), image.geometry)),
        saved);
  }
  return found.result();
}

}  // namespace mambaseg

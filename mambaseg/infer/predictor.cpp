#include "mambaseg/infer/predictor.h"

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/dense.h"

namespace mambaseg {
namespace {

Index3 patch_of(const Plan& plan) { return {plan.patch[0], plan.patch[1], plan.patch[2]}; }

int64_t setting(const Model& model, const char* key, int64_t otherwise) {
  return model.info.network.contains(key) ? model.info.network.at(key).get<int64_t>() : otherwise;
}

}  // namespace

std::string describe(const Work& work, const Plan& plan, int64_t step) {
  return concat(describe(work.grid), "; ", work.patches, work.patches == 1 ? " patch of " : " patches of ",
                plan.patch[0], "x", plan.patch[1], "x", plan.patch[2], " at step ", step, "; at most ",
                (work.peak_bytes + 999999) / 1000000, " MB for votes and volumes");
}

Predictor::Predictor(std::vector<Model> models, Plan plan, const PredictorSettings& settings)
    : models_(std::move(models)), plan_(std::move(plan)), precision_(settings.precision) {
  require(!models_.empty(), "prediction: expected at least one model");
  if (settings.step > 0) plan_.step = settings.step;
  check_plan(plan_);
  window_ = {patch_of(plan_), plan_.step, std::max<int64_t>(1, settings.batch), 0, settings.device};
  for (const Model& model : models_) {
    const int64_t channels = setting(model, "in_channels", 1);
    if (channels != 1)
      throw UsageError(concat("prediction: the network reads ", channels,
                              " channels; expected 1, as each case is one image"));
    const int64_t multiple = model.network->size_multiple();
    for (const int64_t edge : plan_.patch)
      if (edge % multiple != 0)
        throw UsageError(concat("prediction: patch edge ", edge, " is not a multiple of ", multiple,
                                ", which the network needs"));
    model.network->eval();
    model.network->to(settings.device);
  }
  const int64_t named = static_cast<int64_t>(plan_.classes.size());
  window_.classes = setting(models_.front(), "classes", named + 1);
  if (named > 0 && window_.classes != named + 1)
    throw UsageError(concat("prediction: the network gives ", window_.classes, " classes, the plan names ",
                            named, " and background"));
}

Predictor Predictor::load(const std::vector<std::string>& paths, const PredictorSettings& settings) {
  std::vector<Model> models;
  for (const std::string& path : paths) {
    models.push_back(load_model(path, settings.device));
    const ModelInfo& first = models.front().info;
    const ModelInfo& info = models.back().info;
    if (info.plan != first.plan || info.network.value("classes", 0) != first.network.value("classes", 0))
      throw UsageError(concat("prediction: ", path, " has another plan or other classes than ", paths.front(),
                              "; an ensemble needs models of the same labels and preprocessing"));
  }
  require(!models.empty(), "prediction: expected at least one model");
  const Plan plan =
      with_context(paths.front(), [&] { return from_json<Plan>(models.front().info.plan, "plan"); });
  return with_context(paths.front(), [&] { return Predictor(std::move(models), plan, settings); });
}

Work Predictor::work_in(const PreparedImage& image, const Box& box) const {
  constexpr int64_t kVolumes = 4;  // image and classes, each as volume and as tensor, 4 bytes a voxel
  Work work{image.image.geometry, box, patch_count(box, window_), peak_bytes(box, window_)};
  work.peak_bytes += kVolumes * 4 * image.image.geometry.voxel_count();
  return work;
}

Work Predictor::plan_work(const PreparedImage& image) const {
  Box box = whole_box(image.image.geometry.size);
  if (plan_.crop_to_brain) {
    const auto brain = nonzero_box(image.image);
    require(brain.has_value(), "prediction: the prepared image has no non-zero voxel");
    box = *brain;
  }
  return work_in(image, widened_for_patches(box, window_.patch, window_.step));
}

Work Predictor::plan_work(const PreparedImage& image, const Box& region) const {
  return work_in(image, region_box(region, window_.patch, window_.step, image.image.geometry.size));
}

torch::Tensor Predictor::probabilities(const torch::Tensor& x_BCXYZ, torch::ScalarType type) const {
  const torch::Tensor x = x_BCXYZ.to(type);
  torch::Tensor sum;
  for (const Model& model : models_) {
    // Networks leave the classes of a voxel side by side, where the softmax is fast.
    const torch::Tensor scores = model.network->forward(x).front().to(torch::kFloat32).movedim(1, -1);
    const torch::Tensor p = torch::softmax(scores, -1).movedim(-1, 1);
    sum = sum.defined() ? sum.add_(p) : p;
  }
  return models_.size() > 1 ? sum.div_(static_cast<double>(models_.size())) : sum;
}

std::string Predictor::settle_precision(const PreparedImage& image, const Work& work) {
  if (precision_ != Precision::automatic) return {};
  const torch::NoGradGuard no_grad;
  Box middle{work.box.start, window_.patch};
  for (int axis = 0; axis < 3; ++axis) middle.start[axis] += (work.box.size[axis] - window_.patch[axis]) / 2;
  const torch::Tensor patch =
      cut_box(tensor_from_volume(image.image), middle).unsqueeze(0).unsqueeze(0).to(window_.device);
  const PrecisionChoice choice = choose_precision(
      [&](torch::ScalarType type) { return probabilities(patch, type).argmax(1); }, has_bf16_arithmetic(),
      dense_target());
  precision_ = choice.precision;
  return "precision " + choice.reason;
}

Volume<int32_t> Predictor::classes(const PreparedImage& image, const Work& work,
                                   const Progress& progress) const {
  const torch::Tensor image_ijk = tensor_from_volume(image.image);
  const auto type = precision_ == Precision::bf16 ? torch::kBFloat16 : torch::kFloat32;
  const torch::Tensor in_box = classes_in_box(
      image_ijk, work.box, window_, [&](const torch::Tensor& x) { return probabilities(x, type); }, progress);
  auto whole = torch::zeros(image_ijk.sizes(), torch::kInt32);
  paste_box(whole, in_box, work.box);
  return labels_from_tensor(whole, image.image.geometry);
}

}  // namespace mambaseg

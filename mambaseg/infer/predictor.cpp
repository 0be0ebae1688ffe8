#include "mambaseg/infer/predictor.h"

#include <algorithm>
#include <limits>

#include "mambaseg/core/error.h"
#include "mambaseg/data/resize.h"
#include "mambaseg/data/sides.h"
#include "mambaseg/infer/ensemble.h"
#include "mambaseg/ops/block_cache.h"
#include "mambaseg/ops/cuda_stream.h"

namespace mambaseg {
namespace {

Index3 patch_of(const Plan& plan) {
  return {plan.patch[0], plan.patch[1], plan.in_slices() ? 1 : plan.patch[2]};
}

int64_t setting(const Model& model, const char* key, int64_t otherwise) {
  return model.info.network.contains(key) ? model.info.network.at(key).get<int64_t>() : otherwise;
}

int64_t side_axis_of(const PreparedImage& image) {
  return left_right_axis(image.image.geometry.orientation());
}

/// The channels in `box`, in place of the prepared image.
torch::Tensor boxed_image(PreparedImage image, const Box& box) {
  torch::Tensor volume_CIJK = image_tensor(image);
  const bool whole = box == whole_box(image.image.geometry.size);
  image = {};
  return whole ? volume_CIJK : cut_box(volume_CIJK, box);
}

}  // namespace

std::string describe(const Work& work, const Plan& plan, int64_t step) {
  const std::string apart = plan.window == "gaussian"
                                ? concat(" at most ", plan.step_fraction, " patches apart")
                                : concat(" at step ", step);
  std::string windows = concat(work.patches, work.patches == 1 ? " patch of " : " patches of ", plan.patch[0],
                               "x", plan.patch[1]);
  if (work.planes.empty()) {
    windows += concat("x", plan.patch[2], apart);
  } else {
    for (const std::string& plane : work.planes)
      windows += (plane == work.planes.front() ? " of " : " and ") + plane;
    windows += " slices";
  }
  return concat(
      describe(work.grid), "; ", windows, "; at most ", (work.peak_bytes + 999999) / 1000000,
      " MB for votes and volumes", work.votes == torch::kFloat16 ? " (votes in half precision)" : "",
      work.device_peak_bytes == 0 ? ""
                                  : concat(", and ", (work.device_peak_bytes + 999999) / 1000000,
                                           " MB on the GPU besides the network's activations",
                                           work.votes_on_host ? " (the host keeps the votes)" : ""));
}

Predictor::Predictor(std::vector<Model> models, Plan plan, const PredictorSettings& settings)
    : models_(std::move(models)), plan_(std::move(plan)), scheme_(plan_), precision_(settings.precision) {
  require(!models_.empty(), "prediction: expected at least one model");
  if (settings.step > 0) {
    plan_.step = settings.step;
    plan_.window = "fixed";
  }
  if (!settings.mirror) plan_.mirror.clear();
  memory_gib_ = settings.memory_gib;
  probabilities_ = settings.probabilities;
  check_plan(plan_);
  window_.patch = patch_of(plan_);
  window_.step = plan_.step;
  window_.spread = plan_.window == "gaussian" ? plan_.step_fraction : 0;
  window_.batch = std::max<int64_t>(1, settings.batch);
  window_.device = settings.device;
  channels_ = image_channels(models_.front().info);
  for (const Model& model : models_) {
    require(image_channels(model.info) == channels_, "prediction: models of one ensemble read ", channels_,
            " and ", image_channels(model.info), " channels");
    if (const std::string why = model.network->misfit(plan_.patch); !why.empty())
      throw UsageError(concat("prediction: the patch of the plan does not fit the network: ", why));
    model.network->eval();
    model.network->to(settings.device);
  }
  if (plan_.in_slices()) {
    planes_.emplace(models_, plan_, window_);
    window_.classes = scheme_.vote_maps(planes_->score_maps());
    return;
  }
  const int64_t planned = scheme_.score_maps(),
                given = setting(models_.front(), "classes", std::max<int64_t>(1, planned));
  if (planned > 0 && given != planned)
    throw UsageError(concat("prediction: the network gives ", given, " classes, the plan names ",
                            plan_.classes.size(), scheme_.regions() ? " regions" : " and background"));
  window_.classes = scheme_.vote_maps(given);
  const bool alone = models_.size() == 1 && plan_.mirror.empty();
  window_.softmax = alone && !scheme_.regions();
  // Regions: scores, their sigmoids, both with the map of ones; otherwise scores and, of several, the sum.
  window_.score_copies = (scheme_.regions() ? 3 : 1) + (alone ? 0 : 1) + (plan_.mirror.empty() ? 0 : 1);
  if (const std::vector<int64_t> sides = other_side_maps(plan_.classes); !sides.empty())
    other_sides_ = torch::tensor(sides);
}

Predictor Predictor::load(const std::vector<std::string>& paths, const PredictorSettings& settings) {
  std::vector<Model> models = load_ensemble(paths, settings.device, settings.quarter_from);
  const Plan plan =
      with_context(paths.front(), [&] { return from_json<Plan>(models.front().info.plan, "plan"); });
  return with_context(paths.front(), [&] { return Predictor(std::move(models), plan, settings); });
}

SlidingWindow Predictor::window_for(const Work& work) const {
  SlidingWindow window = window_;
  window.votes = work.votes;
  window.votes_on_host = work.votes_on_host;
  window.slab_axis = work.slab_axis;
  return window;
}

int64_t Predictor::voting_bytes(const Work& work) const {
  if (!planes_) return peak_bytes(work.box, window_for(work));
  const bool on_host = work.votes_on_host || !window_.device.is_cuda();
  return planes_->pass_bytes(work.box.size) + (on_host ? planes_->sum_bytes(work.box.size, work.votes) : 0);
}

int64_t Predictor::device_bytes(const Work& work) const {
  if (!planes_) return device_peak_bytes(work.box, window_for(work));
  if (!window_.device.is_cuda()) return 0;
  return planes_->pass_bytes(work.box.size) +
         (work.votes_on_host ? 0 : planes_->sum_bytes(work.box.size, work.votes));
}

int64_t Predictor::classes_peak(const Work& work, const Geometry& input) const {
  constexpr int64_t kVolumes = 4, kFloat = 4;  // image and classes, each as volume and as tensor
  const int64_t voxels = work.grid.voxel_count();
  const int64_t voting = voting_bytes(work) + kFloat * voxels * (kVolumes + 2 * (channels_ - 1));
  const int64_t labelling = kFloat * (voxels * (1 + channels_) + input.voxel_count());
  return std::max(voting, labelling);
}

int64_t Predictor::resampling_peak(const Work& work, const Geometry& input) const {
  constexpr int64_t kFloat = 4;
  const int64_t box = work.box.size[0] * work.box.size[1] * work.box.size[2], file = input.voxel_count();
  const int64_t image = kFloat * channels_ * std::max(box, work.grid.voxel_count());
  // Slices of all classes: the last of a slab, and of probabilities three more while they are written.
  const int64_t slices = (probabilities_ ? 4 : 1) * kFloat * window_.classes;
  const int64_t plane =
      std::max(file / score_grid(input).size[work.slab_axis], box / work.box.size[work.slab_axis]);
  const int64_t votes = voting_bytes(work) - (planes_ ? 0 : 2 * kFloat * box);
  const int64_t voting = votes + image + file + slices * plane;
  const bool turned = plan_.orientation != input.orientation();
  const int64_t labelling = kFloat * file + std::max<int64_t>(1, turned ? kFloat : 0) * file;
  return std::max({2 * image, voting, labelling});
}

int64_t Predictor::device_budget() const {
  int64_t budget = std::numeric_limits<int64_t>::max();
  if (!window_.device.is_cuda()) return budget;
  if (const int64_t free = cuda_free_bytes(window_.device); free > 0) budget = free / 2;
  if (memory_gib_ > 0)
    budget = std::min(budget, static_cast<int64_t>(memory_gib_ * static_cast<double>(int64_t{1} << 30)));
  return budget;
}

Work Predictor::work_in(const PreparedImage& image, const Box& box, int64_t held_bytes) const {
  const auto given = static_cast<int64_t>(1 + image.further.size());
  require(given == channels_, "prediction: the network reads ", channels_,
          channels_ == 1 ? " channel" : " channels", ", the case has ", given);
  Work work;
  work.grid = image.image.geometry;
  work.box = box;
  if (!planes_ && !probabilities_) work.slab_axis = smallest_slab_axis(box.size, window_.patch);
  work.patches = planes_ ? planes_->patch_count(box.size) : patch_count(box, window_);
  if (planes_) work.planes = planes_->names();
  const int64_t on_device = device_budget();
  const auto peak = [&](torch::ScalarType votes) {
    work.votes = votes;
    for (const bool on_host : {false, true}) {
      work.votes_on_host = on_host;
      work.device_peak_bytes = device_bytes(work);
      if (work.device_peak_bytes <= on_device) break;
    }
    return held_bytes +
           (scores_reach_file() ? resampling_peak(work, image.input) : classes_peak(work, image.input));
  };
  const double allowed = memory_gib_ * static_cast<double>(int64_t{1} << 30);
  work.peak_bytes = peak(torch::kFloat32);
  if (memory_gib_ == 0 || static_cast<double>(work.peak_bytes) <= allowed) return work;
  work.peak_bytes = peak(torch::kFloat16);
  require(static_cast<double>(work.peak_bytes) <= allowed, "prediction: votes and volumes take ",
          (work.peak_bytes + 999999) / 1000000, " MB, more than the ", memory_gib_, " GiB that are allowed");
  return work;
}

Work Predictor::plan_work(const PreparedImage& image, int64_t held_bytes) const {
  Box box = whole_box(image.image.geometry.size);
  if (plan_.crop_to_brain) {
    const auto head = head_box(image, plan_);
    require(head.has_value(), "prediction: the prepared image has no non-zero voxel");
    box = *head;
  }
  if (planes_) return work_in(image, box, held_bytes);
  return work_in(image, widened_for_patches(box, window_.patch, window_.spread > 0 ? 1 : window_.step),
                 held_bytes);
}

Work Predictor::plan_work(const PreparedImage& image, const Box& region, int64_t held_bytes) const {
  const Box box =
      region_box(region, window_.patch, window_.spread > 0 ? 1 : window_.step, image.image.geometry.size);
  return work_in(image, box, held_bytes);
}

torch::Tensor Predictor::votes(const torch::Tensor& x_BCXYZ, Precision precision, int64_t side_axis) const {
  torch::Tensor sum;
  const size_t views = size_t{1} << plan_.mirror.size();
  for (size_t view = 0; view < views; ++view) {
    std::vector<int64_t> flipped;
    for (size_t m = 0; m < plan_.mirror.size(); ++m)
      if (view >> m & 1) flipped.push_back(plan_.mirror[m] + 2);
    const torch::Tensor seen = flipped.empty() ? x_BCXYZ : torch::flip(x_BCXYZ, flipped);
    const bool sides_change = std::find(flipped.begin(), flipped.end(), side_axis + 2) != flipped.end();
    for (const Model& model : models_) {
      torch::Tensor scores = scores_in(precision, *model.network, seen);
      if (scheme_.regions()) scores = scheme_.votes(scores);
      if (!flipped.empty()) scores = torch::flip(scores, flipped);
      if (sides_change && other_sides_.defined())
        scores = scores.index_select(1, other_sides_.to(scores.device()));
      if (scheme_.regions() && !sum.defined()) {
        sum = scores;
        continue;
      }
      if (!sum.defined()) sum = torch::empty_like(scores, torch::MemoryFormat::ChannelsLast3d).zero_();
      for (int64_t b = 0; b < sum.size(0); ++b) add_votes({scores[b], !scheme_.regions()}, sum[b]);
    }
  }
  const auto count = static_cast<double>(views * models_.size());
  return count > 1 ? sum.div_(count) : sum;
}

std::string Predictor::settle_precision(const PreparedImage& image, const Work& work) {
  const torch::NoGradGuard no_grad;
  Box middle = work.box;
  if (!planes_)
    for (int axis = 0; axis < 3; ++axis) {
      middle.start[axis] += (work.box.size[axis] - window_.patch[axis]) / 2;
      middle.size[axis] = window_.patch[axis];
    }
  const int64_t side_axis = side_axis_of(image);
  torch::Tensor part;  // made for a trial only
  const auto classes = [&](Precision precision) {
    if (!part.defined()) part = cut_box(image_tensor(image), middle);
    return scheme_.decide(planes_
                              ? planes_->middle(part, work.grid.spacing_mm(), precision)
                              : votes(part.unsqueeze(0).to(window_.device), precision, side_axis).squeeze(0));
  };
  const PrecisionChoice choice = choose_precision(precision_, classes, arithmetic_of(window_.device));
  precision_ = choice.precision;
  return choice.reason.empty() ? choice.reason : "precision " + choice.reason;
}

void Predictor::cast_votes(const torch::Tensor& box_CIJK, const Work& work, int64_t side_axis,
                           const SlabVotes::Release& release, const Progress& progress) const {
  if (planes_)
    return planes_->vote(box_CIJK, work.grid.spacing_mm(), precision_,
                         {work.votes_on_host ? torch::Device(torch::kCPU) : window_.device, work.votes},
                         release, progress);
  vote(
      box_CIJK, window_for(work),
      [&](const torch::Tensor& x) {
        return window_.softmax ? scores_in(precision_, *models_.front().network, x)
                               : votes(x, precision_, side_axis);
      },
      release, progress);
}

Volume<int32_t> Predictor::classes(const PreparedImage& image, const Work& work,
                                   const Progress& progress) const {
  const int64_t side_axis = side_axis_of(image);
  if (!planes_) check_covered(work.box.size, window_);
  const torch::Tensor in_box = decided(
      work.box.size, [this](const torch::Tensor& votes_KXYZ) { return scheme_.decide(votes_KXYZ); },
      [&](const SlabVotes::Release& release) {
        cast_votes(cut_box(image_tensor(image), work.box), work, side_axis, release, progress);
      },
      work.slab_axis);
  const Index3& size = image.image.geometry.size;
  auto whole = torch::zeros({size[0], size[1], size[2]}, torch::kInt32);
  paste_box(whole, in_box, work.box);
  return labels_from_tensor(whole, image.image.geometry);
}

bool Predictor::scores_reach_file() const { return plan_.conform == "spacing" || plan_.conform == "none"; }

Geometry Predictor::score_grid(const Geometry& input) const {
  return permuted(input, permutation_between(input.orientation(), plan_.orientation));
}

Volume<int32_t> Predictor::labels(PreparedImage&& image, const Work& planned, const Progress& progress,
                                  const ScoreResampler::Slice& slice) const {
  Work work = planned;
  if (slice) work.slab_axis = 2;
  if (!scores_reach_file()) {
    require(!slice,
            "prediction: class probabilities are written for plans with conform = \"spacing\" or \"none\"");
    return classes_to_labels(classes(image, work, progress), image.input, plan_);
  }
  const Geometry grid = image.image.geometry, input = image.input, target = score_grid(input);
  if (!planes_) check_covered(work.box.size, window_);
  const int64_t side_axis = side_axis_of(image);
  Volume<uint8_t> winners(target);
  ScoreResampler::Slice named;  // without what only the votes need
  if (slice)
    named = [&](const torch::Tensor& p_KXY, int64_t z) {
      slice(p_KXY.narrow(0, first_probability(), probability_maps()), z);
    };
  ScoreResampler resampler(window_.classes, grid.size, work.box, target.size,
                           separate_axis(target.spacing_mm(), grid.spacing_mm()), named,
                           scheme_.regions() ? ScoreResampler::Total::first : ScoreResampler::Total::sum,
                           winners.voxels.data(), work.slab_axis);
  cast_votes(
      boxed_image(std::move(image), work.box), work, side_axis,
      [&](const torch::Tensor& votes_KXYZ, int64_t first) { resampler.take(votes_KXYZ, first); }, progress);
  resampler.finish();
  if (memory_gib_ > 0) give_back_tensor_blocks();  // the labels come on top of what is kept
  std::vector<int32_t> label_of_map;
  for (int64_t map = 0; map < window_.classes; ++map)
    label_of_map.push_back(static_cast<int32_t>(scheme_.label_of(scheme_.class_of_map(map))));
  Volume<int32_t> labels(target);
  std::transform(winners.voxels.begin(), winners.voxels.end(), labels.voxels.begin(),
                 [&](uint8_t map) { return label_of_map[map]; });
  winners = {};
  if (target.orientation() != input.orientation())
    labels = permuted(labels, permutation_between(plan_.orientation, input.orientation()));
  labels.geometry = input;
  return labels;
}

}  // namespace mambaseg

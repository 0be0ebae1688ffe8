#include "mambaseg/infer/plane_models.h"

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/infer/plane_scores.h"
#include "mambaseg/nets/model/pixel_scale.h"

namespace mambaseg {

int64_t image_channels(const ModelInfo& info) {
  const auto channels = info.network.value("in_channels", int64_t{1});
  return info.plan.value("plane", "none") == "none" ? channels
                                                    : channels / info.plan.value("slices", int64_t{1});
}

PlaneModels::PlaneModels(const std::vector<Model>& models, const Plan& plan, const SlidingWindow& window)
    : scheme_(plan) {
  for (const Model& model : models) {
    Plan own = plan;
    own.plane = model.info.plan.value("plane", plan.plane);
    auto found = std::find_if(planes_.begin(), planes_.end(),
                              [&](const PlaneNetworks& one) { return one.plan.plane == own.plane; });
    if (found == planes_.end()) {
      check_planes(own);
      PlaneNetworks fresh{own, plane_axes(own.plane, own.orientation), merged_classes(own), window, {}};
      fresh.window.context = own.slices / 2;
      found = planes_.insert(planes_.end(), std::move(fresh));
    }
    const int64_t planned = merged_score_maps(found->merged, scheme_.score_maps());
    const auto given = model.info.network.value("classes", planned);
    if (planned > 0 && given != planned)
      throw UsageError(concat("prediction: the network of ", own.plane, " slices gives ", given,
                              " classes, the plan makes it ", planned));
    const auto channels = model.info.network.value("in_channels", plan.slices);
    if (channels % plan.slices != 0)
      throw UsageError(concat("prediction: the network of ", own.plane, " slices reads ", channels,
                              " channels; expected a multiple of ", plan.slices, " slices"));
    found->window.classes = given;
    found->networks.push_back(model.network);
    channels_ = channels / plan.slices;
  }
  maps_ = scheme_.score_maps() > 0 ? scheme_.score_maps() : planes_.front().window.classes;
}

std::vector<std::string> PlaneModels::names() const {
  std::vector<std::string> out;
  for (const PlaneNetworks& plane : planes_) out.push_back(plane.plan.plane);
  return out;
}

torch::Tensor PlaneModels::scores(const PlaneNetworks& plane, const torch::Tensor& x_BCYX,
                                  const Vector3& spacing_mm, Precision precision) {
  const auto [rows, columns] = scale_factors(plane.plan, plane.axes, spacing_mm);
  const auto factors_B2 = torch::tensor({rows, columns}, torch::kFloat32).expand({x_BCYX.size(0), 2});
  torch::Tensor sum;
  for (const auto& network : plane.networks) {
    tell_scale_factors(*network, factors_B2);
    const torch::Tensor own = scores_in(precision, *network, x_BCYX);
    sum = sum.defined() ? sum + own : own;
  }
  return plane.networks.size() > 1 ? sum / static_cast<double>(plane.networks.size()) : sum;
}

void PlaneModels::vote(const torch::Tensor& volume_CIJK, const Vector3& spacing_mm, Precision precision,
                       const SumsOfScores& sums, const SlabVotes::Release& release,
                       const Progress& progress) const {
  const torch::NoGradGuard no_grad;
  const Index3 size{volume_CIJK.size(1), volume_CIJK.size(2), volume_CIJK.size(3)};
  PlaneScores total(maps_, size, sums.device, sums.type);
  double weights = 0;
  for (const PlaneNetworks& plane : planes_) {
    const double weight = plane_weight(plane.plan);
    weights += weight;
    const Progress of_plane =
        progress ? [&](const std::string&, int64_t done,
                       int64_t count) { progress(plane.plan.plane + " slices", done, count); }
                 : Progress{};
    score_slices(
        volume_CIJK, plane.axes, plane.window,
        [&](const torch::Tensor& x) { return scores(plane, x, spacing_mm, precision); },
        [&](const torch::Tensor& scores_KYXS, int64_t first) {
          total.add(scores_KYXS, first, plane.axes, weight, plane.merged);
        },
        of_plane);
  }
  for (int64_t k = 0; k < size[2]; ++k) {
    const auto mean = total.sums().narrow(3, k, 1).to(torch::kFloat32) / weights;
    release(scheme_.votes(mean.unsqueeze(0)).squeeze(0), k);
  }
}

torch::Tensor PlaneModels::middle(const torch::Tensor& volume_CIJK, const Vector3& spacing_mm,
                                  Precision precision) const {
  const torch::NoGradGuard no_grad;
  const PlaneNetworks& plane = planes_.front();
  const auto slices = slices_of(volume_CIJK, plane.axes);
  const auto thick = repeated_slices(slices, slices.size(3) / 2 - plane.window.context, plane.plan.slices);
  const auto x =
      cut_box(thick, {{0, 0, 0}, {plane.window.patch[0], plane.window.patch[1], plane.plan.slices}});
  auto own = scores(plane, slices_as_channels(x).unsqueeze(0).to(plane.window.device), spacing_mm, precision);
  if (!plane.merged.empty()) own = own.index_select(1, torch::tensor(plane.merged, own.device()));
  return scheme_.votes(own).squeeze(0);
}

int64_t PlaneModels::patch_count(const Index3& size) const {
  int64_t count = 0;
  for (const PlaneNetworks& plane : planes_) count += slice_patch_count(size, plane.axes, plane.window);
  return count;
}

int64_t PlaneModels::pass_bytes(const Index3& size) const {
  int64_t most = 0;
  for (const PlaneNetworks& plane : planes_)
    most = std::max(most, slice_bytes(size, channels_, plane.axes, plane.window));
  return most;
}

int64_t PlaneModels::sum_bytes(const Index3& size, torch::ScalarType type) const {
  return PlaneScores::bytes(maps_, size, type);
}

}  // namespace mambaseg

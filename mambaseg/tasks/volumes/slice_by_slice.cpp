#include "mambaseg/tasks/volumes/slice_by_slice.h"

#include <algorithm>

#include "mambaseg/data/label_scheme.h"
#include "mambaseg/data/planes.h"
#include "mambaseg/infer/plane_scores.h"
#include "mambaseg/nets/model/pixel_scale.h"

namespace mambaseg {

torch::Tensor predict_slices(Network& network, const PreparedCase& one, const Plan& plan,
                             torch::Device device) {
  const PlaneAxes axes = plane_axes(plan.plane, plan.orientation);
  const std::vector<int64_t> merged = merged_classes(plan);
  const LabelScheme scheme(plan);
  SlidingWindow window;
  window.patch = {plan.patch[0], plan.patch[1], 1};
  window.step = std::min(plan.patch[0], plan.patch[1]);  // side by side
  window.context = plan.slices / 2;
  window.classes = merged_score_maps(merged, scheme.score_maps());
  window.device = device;
  const auto [rows, columns] = scale_factors(plan, axes, one.spacing_mm);
  tell_scale_factors(network, torch::tensor({{rows, columns}}, torch::kFloat32));
  auto out = torch::zeros_like(one.classes_IJK);
  const torch::Tensor slices = slices_of(out, axes);
  score_slices(
      one.image_CIJK.to(torch::kFloat32) * one.scale, axes, window,
      [&](const torch::Tensor& x) { return network.forward(x).front(); },
      [&](const torch::Tensor& scores_KYXS, int64_t first) {
        torch::Tensor scores = scores_KYXS;
        if (!merged.empty()) scores = scores.index_select(0, torch::tensor(merged, scores.device()));
        const torch::Tensor classes = scheme.decide(scheme.votes(scores.unsqueeze(0)).squeeze(0));
        slices.narrow(2, first, classes.size(2))
            .copy_(classes.narrow(0, 0, slices.size(0)).narrow(1, 0, slices.size(1)));
      });
  return out;
}

}  // namespace mambaseg

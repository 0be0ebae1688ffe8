#include "mambaseg/tasks/volumes/side_by_side.h"

#include <algorithm>

namespace mambaseg {
namespace {

/// Multiples of the edge, the last start moved inwards.
std::vector<int64_t> starts(int64_t size, int64_t edge) {
  std::vector<int64_t> out;
  for (int64_t at = 0; at + edge < size; at += edge) out.push_back(at);
  out.push_back(std::max<int64_t>(0, size - edge));
  return out;
}

}  // namespace

torch::Tensor predict_side_by_side(Network& network, const PreparedCase& one, const Index3& patch,
                                   torch::Device device, const LabelScheme& scheme) {
  const torch::NoGradGuard no_grad;
  const Index3 size = one.size();
  auto out = torch::zeros({size[0], size[1], size[2]}, torch::kUInt8);
  const auto cut = [&](torch::Tensor whole, const Index3& start, int first_axis) {
    for (int a = 0; a < 3; ++a) whole = whole.narrow(first_axis + a, start[a], std::min(patch[a], size[a]));
    return whole;
  };
  for (const int64_t i : starts(size[0], patch[0]))
    for (const int64_t j : starts(size[1], patch[1]))
      for (const int64_t k : starts(size[2], patch[2])) {
        const Index3 start{i, j, k};
        const auto image = cut(one.image_CIJK, start, 1).to(torch::kFloat32) * one.scale;
        const auto scores = network.forward(image.unsqueeze(0).to(device))[0].to(torch::kFloat32);
        cut(out, start, 0).copy_(scheme.decide(scheme.votes(scores).squeeze(0)).to(torch::kCPU));
      }
  return out;
}

}  // namespace mambaseg

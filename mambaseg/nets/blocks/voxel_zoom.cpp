#include "mambaseg/nets/blocks/voxel_zoom.h"

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/nets/layers/resampling.h"

namespace mambaseg {
namespace {

using torch::Tensor;

enum class Anchor { start, middle, end };

/// What happens along one axis: numbers [first, last) are kept, resized, and padded with zeros.
struct AxisZoom {
  int64_t first, last, resized, before, behind;
  float factor;  ///< after rounding
};

AxisZoom axis_zoom(int64_t size, int64_t target, float factor, Anchor anchor) {
  const float source = static_cast<float>(target) * factor;
  auto kept = static_cast<int64_t>(source);
  if (anchor == Anchor::middle && (size - kept) % 2 != 0) kept = 2 * static_cast<int64_t>(source / 2);
  if (kept > size) {
    // PyTorch divides a number by a tensor so, which may round otherwise than a division.
    const auto resized = static_cast<int64_t>(1 / factor * static_cast<float>(size));
    require(resized > 0 && resized <= target, "zoom: ", size, " pixels do not fit ", target,
            " by a factor of ", factor);
    const int64_t rest = target - resized;
    const int64_t before = anchor == Anchor::start ? 0 : anchor == Anchor::end ? rest : rest / 2;
    const auto real = static_cast<float>(static_cast<double>(size) / static_cast<double>(resized));
    return {0, size, resized, before, rest - before, real};
  }
  require(kept > 0, "zoom: a factor of ", factor, " leaves no pixel for ", target);
  const int64_t rest = size - kept;
  const int64_t first = anchor == Anchor::start ? 0 : anchor == Anchor::end ? rest : rest / 2;
  const auto real = static_cast<float>(static_cast<double>(kept) / static_cast<double>(target));
  return {first, first + kept, target, 0, 0, real};
}

Tensor zoomed_by(const Tensor& x, const AxisZoom& rows, const AxisZoom& columns,
                 const std::string& interpolation) {
  Tensor y = x.slice(2, rows.first, rows.last).slice(3, columns.first, columns.last);
  const Extent size{rows.resized, columns.resized};
  if (spatial_size(y) != size)
    y = interpolation == "bicubic"
            ? torch::upsample_bicubic2d(y.element_size() < 4 ? y.to(torch::kFloat) : y, size, false)
                  .to(x.scalar_type())
            : linear_resized(y, size);
  if (rows.before + rows.behind + columns.before + columns.behind == 0) return y;
  return torch::constant_pad_nd(y, {columns.before, columns.behind, rows.before, rows.behind});
}

}  // namespace

ZoomedImages zoomed(const Tensor& x, const Extent& target, const Tensor& factors, const ZoomSettings& s) {
  require(factors.sizes() == torch::IntArrayRef({x.size(0), 2}), "zoom: expected factors (", x.size(0),
          ", 2), got ", concat(factors.sizes()));
  const bool centered = s.crop_position == "center";
  const auto anchor = [&](const char* end) {
    if (centered) return Anchor::middle;
    return s.crop_position.find(end) != std::string::npos ? Anchor::end : Anchor::start;
  };
  const Anchor vertical = anchor("bottom"), horizontal = anchor("right");
  const Tensor given = factors.detach().to(torch::kCPU, torch::kFloat).contiguous();
  const Tensor real = torch::empty_like(given);
  const float* from = given.data_ptr<float>();
  float* to = real.data_ptr<float>();
  std::vector<Tensor> images;
  for (int64_t first = 0; first < x.size(0);) {
    int64_t last = first + 1;  // images of equal factors go together
    while (last < x.size(0) && std::equal(from + 2 * first, from + 2 * first + 2, from + 2 * last)) ++last;
    const AxisZoom rows = axis_zoom(x.size(2), target[0], from[2 * first], vertical);
    const AxisZoom columns = axis_zoom(x.size(3), target[1], from[2 * first + 1], horizontal);
    images.push_back(zoomed_by(x.slice(0, first, last), rows, columns, s.interpolation));
    for (; first < last; ++first) to[2 * first] = rows.factor, to[2 * first + 1] = columns.factor;
  }
  return {images.size() == 1 ? images[0] : torch::cat(images), real};
}

}  // namespace mambaseg

#include "mambaseg/tasks/pictures/picture_augment.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "mambaseg/core/error.h"
#include "mambaseg/core/ignored_class.h"

namespace mambaseg {
namespace {

/// The whole number at or below `x`. std::floor is a call where the target has no instruction for it.
int64_t floor_of(double x) {
  const auto cut = static_cast<int64_t>(x);
  return cut - (x < static_cast<double>(cut));
}

/// Rows and columns of one channel, bytes.
struct Plane {
  const uint8_t* values;
  int64_t height, width;
  uint8_t outside = 0;

  float at(int64_t row, int64_t column) const {
    const bool inside = row >= 0 && row < height && column >= 0 && column < width;
    return static_cast<float>(inside ? values[row * width + column] : outside);
  }
};

/// The four pixels around a place and their weights, the same for all channels.
struct Corners {
  int64_t row, column;
  float down, right;  ///< share of the lower and the right pixels

  Corners(double y, double x)
      : row(floor_of(y)),
        column(floor_of(x)),
        down(static_cast<float>(y - static_cast<double>(row))),
        right(static_cast<float>(x - static_cast<double>(column))) {}

  float bilinear(const Plane& plane) const {
    float top_left, top_right, low_left, low_right;
    if (row >= 0 && row + 1 < plane.height && column >= 0 && column + 1 < plane.width) {
      const uint8_t* v = plane.values + row * plane.width + column;
      top_left = v[0], top_right = v[1], low_left = v[plane.width], low_right = v[plane.width + 1];
    } else {
      top_left = plane.at(row, column), top_right = plane.at(row, column + 1);
      low_left = plane.at(row + 1, column), low_right = plane.at(row + 1, column + 1);
    }
    const float top = top_left + right * (top_right - top_left),
                low = low_left + right * (low_right - low_left);
    return top + down * (low - top);
  }
};

}  // namespace

PictureTransform draw_transform(const PictureAugmentSettings& settings, Random& random) {
  const auto flipped = [&](size_t axis) {
    return random.coin(axis < settings.flip.size() ? settings.flip[axis] : 0) ? -1.0 : 1.0;
  };
  const double rows = flipped(0), columns = flipped(1);
  const bool turns = random.coin(settings.rotation);
  const double degrees = turns ? random.uniform(-settings.rotation_degrees, settings.rotation_degrees) : 0;
  const double size = settings.scale > 0 ? std::exp(random.uniform(-settings.scale, settings.scale)) : 1;
  const double cosine = size * std::cos(degrees * std::numbers::pi / 180);
  const double sine = size * std::sin(degrees * std::numbers::pi / 180);
  return {{{rows * cosine, -columns * sine}, {rows * sine, columns * cosine}}};
}

Sample transformed(const PreparedCase& one, const PictureTransform& transform) {
  const int64_t channels = one.image_CIJK.size(0), height = one.image_CIJK.size(1),
                width = one.image_CIJK.size(2);
  Sample out{torch::empty({channels, height, width}, torch::kFloat32),
             torch::empty({height, width}, torch::kInt64)};
  const auto* picture = one.image_CIJK.data_ptr<uint8_t>();
  // Where most is unlabelled, as between scribbles, nobody labelled the outside either.
  const bool unlabelled = one.classes_IJK.eq(kIgnoredClass).any().item<bool>();
  const Plane mask{one.classes_IJK.data_ptr<uint8_t>(), height, width,
                   static_cast<uint8_t>(unlabelled ? kIgnoredClass : 0)};
  auto* image = out.image.data_ptr<float>();
  auto* classes = out.classes.data_ptr<int64_t>();
  const double middle_y = 0.5 * static_cast<double>(height - 1),
               middle_x = 0.5 * static_cast<double>(width - 1);
  for (int64_t r = 0; r < height; ++r)
    for (int64_t c = 0; c < width; ++c) {
      const double dy = static_cast<double>(r) - middle_y, dx = static_cast<double>(c) - middle_x;
      const double y = middle_y + transform[0][0] * dy + transform[0][1] * dx;
      const double x = middle_x + transform[1][0] * dy + transform[1][1] * dx;
      const int64_t at = r * width + c;
      classes[at] = static_cast<int64_t>(mask.at(floor_of(y + 0.5), floor_of(x + 0.5)));
      const Corners corners(y, x);
      for (int64_t k = 0; k < channels; ++k)
        image[k * height * width + at] =
            one.scale * corners.bilinear({picture + k * height * width, height, width});
    }
  return out;
}

void change_colours(const PictureAugmentSettings& settings, torch::Tensor& image_CIJ, Random& random) {
  const auto factor = [&](double most) { return static_cast<float>(1 + random.uniform(-most, most)); };
  const float brightness = factor(settings.brightness), contrast = factor(settings.contrast),
              saturation = factor(settings.saturation);
  const std::array tint{factor(settings.tint), factor(settings.tint), factor(settings.tint)};
  const auto channels = static_cast<size_t>(image_CIJ.size(0));
  require(channels == 1 || channels == 3, "change_colours: expected 1 or 3 channels, got ", channels);
  const int64_t pixels = image_CIJ[0].numel();
  auto* values = image_CIJ.data_ptr<float>();
  const auto grey = [&](int64_t at) {
    if (channels == 1) return values[at];
    return 0.299f * values[at] + 0.587f * values[pixels + at] + 0.114f * values[2 * pixels + at];
  };
  double sum = 0;
  for (int64_t at = 0; at < pixels; ++at) sum += static_cast<double>(grey(at));
  const float mean = brightness * static_cast<float>(sum / static_cast<double>(pixels));
  const auto contrasted = [&](float value) { return mean + contrast * (brightness * value - mean); };
  for (int64_t at = 0; at < pixels; ++at) {
    const float own_grey = contrasted(grey(at));
    for (size_t k = 0; k < channels; ++k) {
      float& value = values[static_cast<int64_t>(k) * pixels + at];
      value = std::clamp(tint[k] * (own_grey + saturation * (contrasted(value) - own_grey)), 0.0f, 1.0f);
    }
  }
}

Sample PictureSampler::draw(int64_t, Random random) const {
  Sample sample = transformed(case_, draw_transform(augment_, random));
  if (augment_.colour > 0 && random.coin(augment_.colour)) change_colours(augment_, sample.image, random);
  return sample;
}

}  // namespace mambaseg

#include "mambaseg/report/overlay.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/report/lettering.h"

namespace mambaseg {
namespace {

constexpr Colour kWhite{255, 255, 255}, kLetters{230, 230, 120};
constexpr int64_t kGap = 4;  // pixels between planes

template <class T>
Volume<T> turned_to_ras(const Volume<T>& volume) {
  return permuted(volume, permutation_between(volume.geometry.orientation(), "RAS"));
}

/// The grey values shown black and white.
struct Window {
  double black = 0, white = 1;
};

Window window_of(const Volume<float>& image, const OverlayStyle& style) {
  constexpr size_t kEnough = 500000;  // values are enough for a percentile
  const size_t step = std::max<size_t>(1, image.voxels.size() / kEnough);
  std::vector<float> values;
  for (size_t v = 0; v < image.voxels.size(); v += step)
    if (image.voxels[v] != 0) values.push_back(image.voxels[v]);
  if (values.empty()) return {};
  const auto percentile = [&](double percent) {
    const auto nth =
        values.begin() + int64_t(std::clamp(percent, 0.0, 100.0) / 100 * double(values.size() - 1));
    std::nth_element(values.begin(), nth, values.end());
    return double(*nth);
  };
  Window window{percentile(style.window_low), percentile(style.window_high)};
  if (window.black > 0 && window.black < 0.3 * window.white) window.black = 0;  // background stays black
  if (!(window.white > window.black)) window.black = window.white - 1;
  return window;
}

/// Half-open box of voxels.
struct Box {
  Index3 low{}, high{};
};

Box shown_box(const Volume<float>& image, std::span<const Volume<int32_t>* const> labels,
              const Window& window, const OverlayStyle& style) {
  const Index3& n = image.geometry.size;
  Box box{{0, 0, 0}, n};
  if (!style.crop) return box;
  const double dark = window.black + 0.1 * (window.white - window.black);
  Box tight{n, {0, 0, 0}};
  size_t voxel = 0;
  for (int64_t k = 0; k < n[2]; ++k)
    for (int64_t j = 0; j < n[1]; ++j)
      for (int64_t i = 0; i < n[0]; ++i, ++voxel) {
        bool shown = image.voxels[voxel] > dark;
        for (const auto* one : labels) shown = shown || one->voxels[voxel] != 0;
        if (!shown) continue;
        const Index3 at{i, j, k};
        for (int axis = 0; axis < 3; ++axis) {
          tight.low[axis] = std::min(tight.low[axis], at[axis]);
          tight.high[axis] = std::max(tight.high[axis], at[axis] + 1);
        }
      }
  for (int axis = 0; axis < 3; ++axis) {
    if (tight.low[axis] >= tight.high[axis]) return box;
    const int64_t margin = n[axis] / 40;
    tight.low[axis] = std::max<int64_t>(0, tight.low[axis] - margin);
    tight.high[axis] = std::min(n[axis], tight.high[axis] + margin);
  }
  return tight;
}

/// How a plane lies on the RAS grid and in the picture.
struct View {
  int across, down, through;  // array axes
  bool flip_across, flip_down;
  const char *left, *right, *top, *bottom;
};

View view_of(Plane plane, Convention convention) {
  const bool right_first = convention == Convention::radiological;
  const char *left = right_first ? "R" : "L", *right = right_first ? "L" : "R";
  switch (plane) {
    case Plane::axial:
      return {0, 1, 2, right_first, true, left, right, "A", "P"};
    case Plane::coronal:
      return {0, 2, 1, right_first, true, left, right, "S", "I"};
    case Plane::sagittal:
      break;
  }
  return {1, 2, 0, true, true, "A", "P", "S", "I"};
}

/// What all planes of one drawing share. Volumes are turned to RAS.
struct Scene {
  const Volume<float>& image;
  Window window;
  Box box;
  double mm_per_pixel;
  const OverlayStyle& style;
  const Palette& palette;
};

double mm_per_pixel(const Geometry& geometry, const Box& box, const OverlayStyle& style) {
  const Vector3 spacing = geometry.spacing_mm();
  double longest = 0;
  for (int axis = 0; axis < 3; ++axis)
    longest = std::max(longest, spacing[axis] * double(box.high[axis] - box.low[axis]));
  return longest / double(std::max<int64_t>(16, style.pixels));
}

/// Voxel coordinate (fractional, box included) at the middle of each pixel along one edge of the picture.
std::vector<double> sample_positions(const Scene& scene, int axis, bool flip) {
  const double spacing = scene.image.geometry.spacing_mm()[axis];
  const double extent = double(scene.box.high[axis] - scene.box.low[axis]);
  const auto count = std::max<int64_t>(1, std::llround(extent * spacing / scene.mm_per_pixel));
  std::vector<double> positions;
  for (int64_t p = 0; p < count; ++p) {
    const double along = (double(flip ? count - 1 - p : p) + 0.5) * extent / double(count);
    positions.push_back(double(scene.box.low[axis]) + along - 0.5);
  }
  return positions;
}

Picture render(const Scene& scene, const Volume<int32_t>* labels, Plane plane, int64_t slice) {
  const View view = view_of(plane, scene.style.convention);
  const Index3& n = scene.image.geometry.size;
  const auto across = sample_positions(scene, view.across, view.flip_across);
  const auto down = sample_positions(scene, view.down, view.flip_down);
  Picture picture{int64_t(across.size()), int64_t(down.size()), 3, {}};
  picture.values.resize(across.size() * down.size() * 3);
  const auto voxel = [&](int64_t a, int64_t d) {
    Index3 at{};
    at[view.across] = std::clamp<int64_t>(a, 0, n[view.across] - 1);
    at[view.down] = std::clamp<int64_t>(d, 0, n[view.down] - 1);
    at[view.through] = slice;
    return size_t(scene.image.offset(at[0], at[1], at[2]));
  };
  std::vector<int32_t> shown(across.size() * down.size(), 0);
  for (size_t y = 0; y < down.size(); ++y)
    for (size_t x = 0; x < across.size(); ++x) {
      const auto a = int64_t(std::floor(across[x])), d = int64_t(std::floor(down[y]));
      const double fa = across[x] - double(a), fd = down[y] - double(d);
      const auto& v = scene.image.voxels;
      const double value = (1 - fd) * ((1 - fa) * v[voxel(a, d)] + fa * v[voxel(a + 1, d)]) +
                           fd * ((1 - fa) * v[voxel(a, d + 1)] + fa * v[voxel(a + 1, d + 1)]);
      const double grey = (value - scene.window.black) / (scene.window.white - scene.window.black);
      const size_t pixel = x + across.size() * y;
      std::fill_n(&picture.values[3 * pixel], 3, uint8_t(std::lround(255 * std::clamp(grey, 0.0, 1.0))));
      if (labels) shown[pixel] = labels->voxels[voxel(std::lround(across[x]), std::lround(down[y]))];
    }
  const int64_t thickness = std::max<int64_t>(1, scene.style.pixels / 300);
  for (int64_t y = 0; y < picture.height; ++y)
    for (int64_t x = 0; x < picture.width; ++x) {
      const int32_t label = shown[size_t(x + picture.width * y)];
      if (label == 0) continue;
      const auto other = [&](int64_t dx, int64_t dy) {
        const int64_t nx = x + dx, ny = y + dy;
        return nx < 0 || ny < 0 || nx >= picture.width || ny >= picture.height ||
               shown[size_t(nx + picture.width * ny)] != label;
      };
      const bool contour =
          other(-thickness, 0) || other(thickness, 0) || other(0, -thickness) || other(0, thickness);
      const double opacity = contour ? 1 : scene.style.fill_opacity;
      const Colour colour = scene.palette.colour(label);
      uint8_t* rgb = &picture.values[size_t(3 * (x + picture.width * y))];
      for (int c = 0; c < 3; ++c)
        rgb[c] = uint8_t(std::lround((1 - opacity) * rgb[c] + opacity * colour[size_t(c)]));
    }
  const int size = scene.style.pixels >= 240 ? 2 : 1;
  const int64_t w = kLetterWidth * size, h = kLetterHeight * size;
  if (!scene.style.letters) return picture;
  const auto letter = [&](const char* text, int64_t x, int64_t y) {
    for (const auto& [dx, dy] : {std::pair{-1, -1}, {1, -1}, {-1, 1}, {1, 1}})
      write_letters(picture, text, x + dx, y + dy, size, {0, 0, 0});
    write_letters(picture, text, x, y, size, kLetters);
  };
  letter(view.left, 2, (picture.height - h) / 2);
  letter(view.right, picture.width - w, (picture.height - h) / 2);
  letter(view.top, (picture.width - w) / 2, 2);
  letter(view.bottom, (picture.width - w) / 2, picture.height - h);
  return picture;
}

void paste(Picture& to, const Picture& from, int64_t x, int64_t y) {
  for (int64_t row = 0; row < from.height; ++row)
    std::copy_n(&from.values[size_t(3 * from.width * row)], 3 * from.width,
                &to.values[size_t(3 * (x + to.width * (y + row)))]);
}

void require_same_grid(const Geometry& image, const Geometry& labels) {
  require(same_grid(image, labels, 0.1),
          "overlay: image and labels lie on different grids: ", describe(image), " and ", describe(labels));
}

/// The planes that show something: all three, or the only one of an image with one slice.
std::vector<Plane> planes_of(const Index3& size) {
  if (size[2] == 1) return {Plane::axial};
  if (size[1] == 1) return {Plane::coronal};
  if (size[0] == 1) return {Plane::sagittal};
  return {Plane::axial, Plane::coronal, Plane::sagittal};
}

Index3 fullest_slices_ras(const Volume<int32_t>& labels) {
  const Index3& n = labels.geometry.size;
  std::array<std::vector<int64_t>, 3> filled;
  for (int axis = 0; axis < 3; ++axis) filled[axis].assign(size_t(n[axis]), 0);
  size_t voxel = 0;
  for (int64_t k = 0; k < n[2]; ++k)
    for (int64_t j = 0; j < n[1]; ++j)
      for (int64_t i = 0; i < n[0]; ++i)
        if (labels.voxels[voxel++] != 0) {
          ++filled[0][size_t(i)];
          ++filled[1][size_t(j)];
          ++filled[2][size_t(k)];
        }
  Index3 best{};
  for (int axis = 0; axis < 3; ++axis) {
    const auto most = std::max_element(filled[axis].begin(), filled[axis].end());
    best[axis] = *most > 0 ? most - filled[axis].begin() : n[axis] / 2;
  }
  return best;
}

}  // namespace

Index3 fullest_slices(const Volume<int32_t>& labels) { return fullest_slices_ras(turned_to_ras(labels)); }

Picture draw_overlay(const Volume<float>& image, const Volume<int32_t>* labels, Plane plane, int64_t slice,
                     const Palette& palette, const OverlayStyle& style) {
  const Volume<float> grey = turned_to_ras(image);
  std::optional<Volume<int32_t>> ras;
  std::vector<const Volume<int32_t>*> shown;
  if (labels) {
    require_same_grid(image.geometry, labels->geometry);
    shown.push_back(&ras.emplace(turned_to_ras(*labels)));
  }
  const int64_t slices = grey.geometry.size[view_of(plane, style.convention).through];
  require(slice >= 0 && slice < slices, "overlay: slice ", slice, " of ", slices);
  const Window window = window_of(grey, style);
  const Box box = shown_box(grey, shown, window, style);
  const Scene scene{grey, window, box, mm_per_pixel(grey.geometry, box, style), style, palette};
  return render(scene, labels ? &*ras : nullptr, plane, slice);
}

Picture draw_three_planes(const Volume<float>& image, std::span<const OverlayRow> rows,
                          std::optional<Index3> centre, const OverlayStyle& style) {
  require(!rows.empty(), "overlay: no row to draw");
  const Volume<float> grey = turned_to_ras(image);
  std::vector<Volume<int32_t>> turned;
  turned.reserve(rows.size());
  std::vector<const Volume<int32_t>*> shown;
  std::vector<const Volume<int32_t>*> of_row;
  std::vector<int32_t> labels;
  for (const OverlayRow& row : rows) {
    of_row.push_back(nullptr);
    if (!row.labels) continue;
    require_same_grid(image.geometry, row.labels->geometry);
    of_row.back() = &turned.emplace_back(turned_to_ras(*row.labels));
    shown.push_back(of_row.back());
    int32_t last = 0;
    for (const int32_t label : row.labels->voxels)
      if (label != last) {
        last = label;
        const auto at = std::lower_bound(labels.begin(), labels.end(), label);
        if (label != 0 && (at == labels.end() || *at != label)) labels.insert(at, label);
      }
  }
  const Index3& n = grey.geometry.size;
  const Index3 at = centre          ? *centre
                    : shown.empty() ? Index3{n[0] / 2, n[1] / 2, n[2] / 2}
                                    : fullest_slices_ras(*shown[0]);
  for (int axis = 0; axis < 3; ++axis)
    require(at[axis] >= 0 && at[axis] < n[axis], "overlay: slice ", at[axis], " of ", n[axis]);

  const Palette palette(style.labels.empty() ? labels : style.labels);
  const Window window = window_of(grey, style);
  const Box box = shown_box(grey, shown, window, style);
  const Scene scene{grey, window, box, mm_per_pixel(grey.geometry, box, style), style, palette};
  const int title_size = style.pixels >= 240 ? 2 : 1;
  const int64_t title_height = kLetterHeight * title_size + kGap;
  std::vector<Picture> pictures;
  const std::vector<Plane> planes = planes_of(n);
  int64_t width = kGap, height = kGap, row_height = 0;
  for (const Volume<int32_t>* drawn : of_row)
    for (const Plane plane : planes)
      pictures.push_back(render(scene, drawn, plane, at[size_t(view_of(plane, style.convention).through)]));
  for (size_t p = 0; p < planes.size(); ++p) {
    width += pictures[p].width + kGap;
    row_height = std::max(row_height, pictures[p].height);
  }
  height += int64_t(rows.size()) * (title_height + row_height + kGap);
  Picture all{width, height, 3, {}};
  all.values.assign(size_t(3 * width * height), 0);
  int64_t y = kGap;
  for (size_t r = 0; r < rows.size(); ++r) {
    write_letters(all, rows[r].title, kGap, y, title_size, kWhite);
    y += title_height;
    int64_t x = kGap;
    for (size_t p = 0; p < planes.size(); ++p) {
      const Picture& one = pictures[r * planes.size() + p];
      paste(all, one, x, y + (row_height - one.height) / 2);
      x += one.width + kGap;
    }
    y += row_height + kGap;
  }
  return all;
}

void write_three_planes(const std::string& path, const Volume<float>& image, std::span<const OverlayRow> rows,
                        std::optional<Index3> centre, const OverlayStyle& style) {
  write_picture(path, draw_three_planes(image, rows, centre, style));
}

}  // namespace mambaseg

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mambaseg/core/volume.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/report/palette.h"

namespace mambaseg {

/// A cut through the head: axial from below, coronal from the front, sagittal from the left.
enum class Plane { axial, coronal, sagittal };

/// Which side of the picture shows the patient's left. Pictures carry the letters L R A P S I, so that they
/// can be read either way.
enum class Convention {
  radiological,  ///< the patient's right on the left of the picture
  neurological,  ///< the patient's left on the left of the picture
};

struct OverlayStyle {
  Convention convention = Convention::radiological;
  double fill_opacity = 0.35;   ///< of the area of a label; its contour is opaque
  double window_low = 0.5;      ///< percentile of the non-zero voxels shown black
  double window_high = 99.5;    ///< percentile shown white
  int64_t pixels = 320;         ///< longest edge of one plane
  bool letters = true;          ///< R L A P S I at the edges
  bool crop = true;             ///< leave out the dark border around the head
  std::vector<int32_t> labels;  ///< ascending, share out the colours; empty: those that the rows hold
};

/// The voxel, on the grid turned to RAS, through which the three planes with most labelled voxels run; the
/// middle of the grid where nothing is labelled.
Index3 fullest_slices(const Volume<int32_t>& labels);

/// One plane of `image` in grey with `labels` (same grid; nullptr for none) over it, RGB, in true
/// proportions. `slice` counts along the R, A or S axis of the grid turned to RAS. Throws Error when grids
/// differ or slice is outside.
Picture draw_overlay(const Volume<float>& image, const Volume<int32_t>* labels, Plane plane, int64_t slice,
                     const Palette& palette, const OverlayStyle& style = {});

/// A row of pictures: a title and the labels drawn over the image, nullptr for the bare image.
struct OverlayRow {
  std::string title;
  const Volume<int32_t>* labels = nullptr;
};

/// One row for each of `rows`, with the three planes through `centre` (default: fullest_slices of the first
/// labels) side by side; an image of one slice gives that slice alone. Colours depend on style.labels.
Picture draw_three_planes(const Volume<float>& image, std::span<const OverlayRow> rows,
                          std::optional<Index3> centre = {}, const OverlayStyle& style = {});

/// draw_three_planes, written as PNG. Throws Error naming `path`.
void write_three_planes(const std::string& path, const Volume<float>& image, std::span<const OverlayRow> rows,
                        std::optional<Index3> centre = {}, const OverlayStyle& style = {});

}  // namespace mambaseg

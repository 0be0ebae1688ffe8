#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace mambaseg {

using Colour = std::array<uint8_t, 3>;

/// The colour of each label, the same in every picture of a report. When all labels of a set are FreeSurfer
/// numbers (and not just 1, 2, ...) structures get the colours FreeSurfer users know; otherwise the first
/// twelve labels get colours that stay apart on grey, further ones hues by the golden angle.
class Palette {
 public:
  /// `labels` ascending, without 0.
  explicit Palette(std::span<const int32_t> labels);
  Colour colour(int32_t label) const;

 private:
  bool freesurfer_ = false;
};

}  // namespace mambaseg

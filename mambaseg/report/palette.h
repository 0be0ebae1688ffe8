#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace mambaseg {

using Colour = std::array<uint8_t, 3>;

/// The colours of a set of labels, the same in every picture that is given the same set. When all are
/// FreeSurfer numbers (and not just 1, 2, ...) structures get the colours FreeSurfer users know; otherwise
/// the first twelve of the set get colours that stay apart on grey, further ones hues by the golden angle.
class Palette {
 public:
  /// `labels` ascending, without 0.
  explicit Palette(std::span<const int32_t> labels);
  Colour colour(int32_t label) const;

 private:
  std::vector<int32_t> labels_;
  bool freesurfer_ = false;
};

}  // namespace mambaseg

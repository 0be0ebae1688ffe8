#pragma once

#include "mambaseg/core/random.h"
#include "mambaseg/data/picture_mask.h"

namespace mambaseg {

struct ScribbleSettings {
  int64_t width = 5;         ///< of a stroke, pixels
  int64_t unlabelled = 128;  ///< what is written where nothing is drawn
};

/// Labels as somebody who draws strokes would give them: of each connected part of each label, background
/// included, a stroke along its middle. It goes from a place drawn among those at least half as deep inside
/// as the deepest to the one of them farthest away, on the shortest way between (ScribbleSup, Lin et al.
/// 2016, has strokes of people; simulated ones lie on skeletons of eroded labels). Parts that a stroke would
/// cover get none, unless their label has no larger one. Throws Error when the labels hold `unlabelled`.
PictureNumbers scribbles_of(const PictureNumbers& labels, const ScribbleSettings& settings, Random random);

}  // namespace mambaseg

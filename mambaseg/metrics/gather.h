#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mambaseg/core/volume.h"
#include "mambaseg/metrics/components.h"
#include "mambaseg/metrics/metric.h"
#include "mambaseg/metrics/surfels.h"

namespace mambaseg {

/// What to look for in a case.
struct Wanted {
  bool surface = true, surfels = true, lesions = true;
};

/// Counts, surfaces and lesions of all labels of a case, found in one walk over the two images.
class GatheredCase {
 public:
  GatheredCase(const Volume<int32_t>& reference, const Volume<int32_t>& prediction,
               std::span<const int32_t> labels, const Wanted& wanted, Connectivity connectivity, int threads);

  /// All of the label in position `slot`, with the distances that were wanted.
  LabelComparison comparison(size_t slot, double tolerance_mm) const;

 private:
  /// What was found of one image in some planes.
  struct Side {
    std::vector<std::vector<GridPoint>> surface;
    std::vector<Surfels> surfels;
  };
  struct Slab {
    std::vector<Counts> counts;
    Side reference, prediction;
  };

  std::vector<GridPoint> surface(Side Slab::*side, size_t slot) const;
  Surfels surfels(Side Slab::*side, size_t slot) const;

  Geometry geometry_;
  Wanted wanted_;
  std::vector<Counts> counts_;
  std::vector<LesionCounts> lesions_;
  std::vector<Slab> slabs_;
};

}  // namespace mambaseg

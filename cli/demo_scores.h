#pragma once

#include <string>
#include <utility>
#include <vector>

#include "mambaseg/config/config.h"
#include "mambaseg/core/volume.h"

namespace mambaseg {

struct DemoScore {
  std::string structure;
  double dice = 0, volume_similarity = 0, assd_mm = 0;
};

/// Scores of structures (name and number), and last their means ("mean").
std::vector<DemoScore> demo_scores(const Volume<int32_t>& reference, const Volume<int32_t>& prediction,
                                   const std::vector<std::pair<std::string, int32_t>>& structures);

Json json_of(const std::vector<DemoScore>& scores);

}  // namespace mambaseg

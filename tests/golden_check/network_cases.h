#pragma once

#include "tests/golden_check/golden_case.h"

namespace mambaseg {

/// Runs the network or block whose official counterpart has the repository and class of the file; nothing
/// where there is none.
torch::optional<GoldenResult> check_counterpart(const GoldenCase& golden);

/// The zoom between resolutions that a network does inside.
std::span<const GoldenCheck> zoom_checks();

/// The sum of scores over several planes of slices.
std::span<const GoldenCheck> plane_checks();

}  // namespace mambaseg

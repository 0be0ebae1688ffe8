#pragma once

#include <string>

#include "mambaseg/core/volume.h"
#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/plan.h"

namespace mambaseg {

/// Changes when a setting of the plan changes that the prepared cases depend on.
std::string plan_hash(const Plan& plan);

/// Throws Error naming the path when labels lie on another grid than their image; headers may differ by a
/// tenth of a voxel.
void require_on_grid(const Volume<int32_t>& labels, const std::string& path, const Geometry& image);

/// A volume prepared by the plan, cut to the box that training looks at (the brain, or the box around the
/// region of an earlier stage), padded with zeros to at least one patch unless the plan sees slices. Throws
/// Error with the case's id in front.
PreparedCase prepare_case(const Case& one, const Plan& plan, const Warn& warn = {});

Preparation volume_preparation(const Plan& plan);

}  // namespace mambaseg

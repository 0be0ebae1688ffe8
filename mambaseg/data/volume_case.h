#pragma once

#include <string>

#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/plan.h"

namespace mambaseg {

/// Changes when a setting of the plan changes that the prepared cases depend on.
std::string plan_hash(const Plan& plan);

/// A volume prepared by the plan, cut to the box that training looks at (the brain, or the box around the
/// region of an earlier stage), padded with zeros to at least one patch. Throws Error with the case's id in
/// front.
PreparedCase prepare_case(const Case& one, const Plan& plan, const Warn& warn = {});

Preparation volume_preparation(const Plan& plan);

}  // namespace mambaseg

#pragma once

#include <cstdint>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// The factor of the loss while gradients are computed in float16, so that small ones do not become 0
/// (dynamic loss scaling, Micikevicius et al. 2018, section 3.2). Powers of two change exponents only.
struct LossScale {
  double factor = 1;  ///< 1: the loss is not scaled
  int64_t steps = 0;  ///< since the factor changed

  /// After a step whose gradients were finite: doubled after 2000 of them.
  void keep();
  /// After a step with a gradient that was not. False when the factor is so small already that it is not the
  /// reason.
  bool halve();

  void describe(SettingsVisitor& visit) {
    visit("factor", factor, "factor of the loss");
    visit("steps", steps, "steps since it changed");
  }
};

}  // namespace mambaseg

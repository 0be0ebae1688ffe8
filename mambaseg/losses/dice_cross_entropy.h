#pragma once

#include "mambaseg/losses/loss.h"

namespace mambaseg {

extern const LossEntry dice_cross_entropy_entry;

}  // namespace mambaseg

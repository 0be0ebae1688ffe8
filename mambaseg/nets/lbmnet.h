#pragma once

#include "mambaseg/nets/network.h"

namespace mambaseg {

/// The literal reading of the paper, widths 40 to 640.
NetworkEntry lbmnet_entry();
/// The reading that also matches the published FLOPs at a 128^3 patch: starts at a quarter of the resolution.
NetworkEntry lbmnet_b_entry();

}  // namespace mambaseg

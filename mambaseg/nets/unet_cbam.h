#pragma once

#include "mambaseg/nets/network.h"

namespace mambaseg {

NetworkEntry unet_cbam_entry();

}  // namespace mambaseg

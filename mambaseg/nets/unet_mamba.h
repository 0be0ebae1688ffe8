#pragma once

#include "mambaseg/nets/network.h"

namespace mambaseg {

NetworkEntry unet_mamba_entry();

}  // namespace mambaseg

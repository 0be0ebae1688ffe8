#pragma once

#include "mambaseg/nets/network.h"

namespace mambaseg {

NetworkEntry unet_se_entry();

}  // namespace mambaseg

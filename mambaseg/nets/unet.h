#pragma once

#include "mambaseg/nets/network.h"

namespace mambaseg {

NetworkEntry unet_entry();

}  // namespace mambaseg

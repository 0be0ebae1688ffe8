#pragma once

#include "mambaseg/nets/network.h"

namespace mambaseg {

NetworkEntry hym_unet_entry();

}  // namespace mambaseg

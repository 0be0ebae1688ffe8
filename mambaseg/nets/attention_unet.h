#pragma once

#include "mambaseg/nets/network.h"

namespace mambaseg {

NetworkEntry attention_unet_entry();

}  // namespace mambaseg

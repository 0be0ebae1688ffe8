#pragma once

#include "mambaseg/nets/network.h"

namespace mambaseg {

NetworkEntry ce_net_entry();

}  // namespace mambaseg

#pragma once

#include "mambaseg/nets/network.h"

namespace mambaseg {

NetworkEntry segmambabot_entry();

}  // namespace mambaseg

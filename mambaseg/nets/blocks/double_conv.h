#pragma once

#include "mambaseg/nets/layers/sequence.h"

namespace mambaseg {

/// [Convolution 3x3, batch norm, ReLU] twice in two dimensions, named "0" to "5".
std::shared_ptr<Sequence> double_conv(int64_t in, int64_t out, bool bias = false);

}  // namespace mambaseg

#pragma once

#include "mambaseg/nets/layers/sequence.h"

namespace mambaseg {

struct DoubleConvSettings {
  int64_t middle = 0;  ///< channels between the convolutions; 0: those of the result
  bool bias = false;
  Activation activation = Activation::relu;
  bool last_activation = true;  ///< behind the second norm
};

/// [Convolution 3x3, batch norm, activation] twice in two dimensions, named "0" to "5" ("4").
std::shared_ptr<Sequence> double_conv(int64_t in, int64_t out, const DoubleConvSettings& settings = {});

}  // namespace mambaseg

#pragma once

#include "mambaseg/nets/model/network.h"
#include "mambaseg/ops/operation_counter.h"

namespace mambaseg {

struct NetworkCost {
  int64_t parameters = 0;     ///< trainable
  OperationCount operations;  ///< of one image's scores, as prediction computes them
};

/// What a network (make_network) costs for one image of `sizes`, whose weights are neither made nor read.
/// UsageError for settings, Error for sizes that it does not take.
NetworkCost cost_of(const Json& config, const Extent& sizes);

}  // namespace mambaseg

#pragma once

#include "mambaseg/core/failure.h"

namespace mambaseg {

/// Of the exception that is being handled: what ours say, what those of LibTorch say without their back
/// trace.
Failure current_failure();

}  // namespace mambaseg

// The precompiled LibTorch headers are built with this file (see targets.cmake).
#include <torch/types.h>

#pragma once

#include <string>

#include "mambaseg/io/safetensors.h"

namespace mambaseg {

/// Reads the arrays of a NumPy .npz file (a zip file of .npy records), as the weights of JAX models are
/// published: little-endian numbers and booleans, in C or Fortran order, which becomes C order; names are
/// those of the records without ".npy". Records of other kinds, as pickled objects, are refused. Throws Error
/// naming the path.
TensorFile read_npz(const std::string& path);

}  // namespace mambaseg

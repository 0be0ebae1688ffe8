#pragma once

#include <string>
#include <vector>

#include <torch/types.h>

#include "mambaseg/core/geometry.h"
#include "mambaseg/io/open_file.h"

namespace mambaseg {

/// Writes the probability of each class as an image of its own, 0..255, from slices that come one after the
/// other: never more than one class of one volume is in memory. Slices wait in files without names in the
/// folder of the output until write().
class ProbabilityFiles {
 public:
  /// OUTPUT "x.nii.gz" becomes x_class0.nii.gz, x_class1.nii.gz, ... (from `first` on) on `grid`. Throws
  /// Error when nothing can be written there.
  ProbabilityFiles(const std::string& output, int64_t classes, const Geometry& grid, int64_t first = 0);

  /// Probabilities (K, X, Y) of the next slice of the grid's last axis.
  void add(const torch::Tensor& p_KXY);
  /// Writes the images once all slices are there.
  void write();

  static std::string path_of(const std::string& output, int64_t k);

 private:
  std::string output_;
  Geometry grid_;
  int64_t first_;
  std::vector<OpenFile> waiting_;
};

}  // namespace mambaseg

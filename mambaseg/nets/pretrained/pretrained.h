#pragma once

#include "mambaseg/nets/model/weights.h"

namespace mambaseg {

/// An entry of a file of weights, brought into the form that ours has, and the tensor of the network it is
/// for. An entry may be for several.
struct PlacedWeight {
  std::string entry, name;
  torch::Tensor value;
};

/// An encoder that others trained and published, which networks start from as their official code does.
struct PretrainedEncoder {
  const char* name;
  const char* file;  ///< as it is published
  /// Where the entries of `published` go in a network of that name with the weights `own`; empty for networks
  /// that do not start from this encoder and for files of other things.
  std::vector<PlacedWeight> (*placed)(const std::string& network, const Weights& published,
                                      const Weights& own);
};

/// All of them, one file each.
const std::vector<PretrainedEncoder>& pretrained_encoders();

/// What start_from took.
struct StartReport {
  std::string encoder;             ///< whose weights they are
  int64_t taken = 0, tensors = 0;  ///< of the network's
  int64_t parameters_taken = 0, parameters = 0;
  std::vector<std::string> untouched;  ///< the network's that stay as they were
  std::vector<std::string> unused;     ///< entries of the file that nothing took
  std::vector<std::string> misshaped;  ///< entries of another size than the network's, among the unused

  /// In one line.
  std::string text() const;
};

/// Copies into the network what fits of weights from elsewhere: those of a network with the same names, as a
/// model that learned other classes, or of a pretrained encoder; what places most counts. Throws Error when
/// nothing fits.
StartReport start_from(torch::nn::Module& network, const std::string& name, const Weights& file);

}  // namespace mambaseg

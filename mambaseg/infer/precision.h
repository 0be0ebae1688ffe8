#pragma once

#include <functional>
#include <string>

#include <torch/types.h>

#include "mambaseg/ops/dense.h"

namespace mambaseg {

/// Type of the activations in a prediction. Weights are stored in fp32 and sums are made in fp32 in any case.
/// `automatic` becomes one of the others once an image is there to try them on.
enum class Precision { fp32, bf16, automatic };

/// "fp32", "bf16" or "auto"; UsageError otherwise.
Precision precision_named(const std::string& name);

/// fp32 unless bf16 is settled.
torch::ScalarType activation_type(Precision precision);

/// The least share of voxels that must keep their class for `automatic` to choose bf16.
constexpr double kBf16Agreement = 0.999;

/// What `automatic` became and why, in one line for people.
struct PrecisionChoice {
  Precision precision = Precision::fp32;
  std::string reason;
};

/// What a wish becomes. bf16 where the machine does not multiply it would be slower than fp32 and less exact:
/// there everything is fp32, and the reason says so. `automatic` is bf16 when at least kBf16Agreement of the
/// voxels of a trial input get the class they have in fp32. Time is measured for the message but decides
/// nothing, so that the choice does not depend on what else the machine does. `classes` runs the trial in
/// fp32 or bf16 and returns its class numbers. The reason is empty where the wish was fulfilled without a
/// trial.
PrecisionChoice choose_precision(Precision wish, const std::function<torch::Tensor(Precision)>& classes,
                                 bool with_bf16_arithmetic = has_bf16_arithmetic(),
                                 const std::string& target = dense_target());

}  // namespace mambaseg

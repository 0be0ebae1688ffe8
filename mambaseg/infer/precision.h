#pragma once

#include <functional>
#include <string>

#include <torch/types.h>

#include "mambaseg/nets/model/network.h"
#include "mambaseg/ops/device.h"

namespace mambaseg {

/// In what a prediction computes. Weights are stored in fp32 and sums are made in fp32 in any case.
/// `automatic` becomes one of the others once an image is there to try them on.
enum class Precision { fp32, tf32, bf16, fp16, automatic };

/// "fp32", "tf32", "bf16", "fp16" or "auto"; UsageError otherwise, and for what the device does not have.
Precision precision_named(const std::string& name, const Arithmetic& arithmetic);

/// What the network gives first, float32, computed in `precision` (fp32 while it is `automatic`).
torch::Tensor scores_in(Precision precision, Network& network, const torch::Tensor& x);

/// The least share of voxels that must keep their class for `automatic` to choose 16 bits.
constexpr double kHalfAgreement = 0.999;

/// What `automatic` became and why, in one line for people.
struct PrecisionChoice {
  Precision precision = Precision::fp32;
  std::string reason;
};

/// What a wish becomes. bf16 where the device does not multiply it would be slower than fp32 and less exact:
/// there it is fp32, and the reason says so. `automatic` is bf16 (fp16 on a GPU without bf16) when at least
/// kHalfAgreement of the voxels of a trial input get the class they have in fp32. Time is measured for the
/// message but decides nothing, so that the choice does not depend on what else the machine does. `classes`
/// runs the trial in one of the precisions and returns its class numbers. The reason is empty where the wish
/// was fulfilled without a trial. UsageError for tf32 and fp16 on a processor.
PrecisionChoice choose_precision(Precision wish, const std::function<torch::Tensor(Precision)>& classes,
                                 const Arithmetic& arithmetic);

}  // namespace mambaseg

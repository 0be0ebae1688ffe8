#pragma once

#include <memory>

#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>
#include <torch/types.h>

#include "mambaseg/train/run.h"

namespace mambaseg {

/// The optimiser that the recipe names, over all parameters of the network. With decay "weights" those of one
/// axis (biases, norms) and those that their block marked (blocks/undecayed.h: the scan's A and D) do not
/// decay. UsageError on settings that make no sense.
std::unique_ptr<torch::optim::Optimizer> make_optimizer(const TrainingSettings& settings,
                                                        const torch::nn::Module& network);

/// Sets the learning rate of every group.
void set_learning_rate(torch::optim::Optimizer& optimizer, double rate);

}  // namespace mambaseg

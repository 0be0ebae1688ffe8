#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include "mambaseg/config/config.h"
#include "mambaseg/train/list_updates.h"
#include "mambaseg/train/optimizer.h"
#include "mambaseg/train/training_state.h"

namespace mambaseg {

/// What an optimiser holds of one parameter: nothing before its first step.
inline std::vector<torch::Tensor> moments_of(const torch::optim::Optimizer& optimizer,
                                             const torch::Tensor& parameter) {
  const auto& states = optimizer.state();
  const auto found = states.find(state_key(parameter));
  if (found == states.end()) return {};
  if (const auto* adamw = dynamic_cast<const torch::optim::AdamWParamState*>(found->second.get()))
    return {torch::tensor(adamw->step()), adamw->exp_avg(), adamw->exp_avg_sq()};
  return {dynamic_cast<const torch::optim::SGDParamState&>(*found->second).momentum_buffer()};
}

/// The models in the two files have the same parameters, to the bit.
inline void expect_same_weights(const std::string& path_a, const std::string& path_b) {
  const Model a = load_model(path_a), b = load_model(path_b);
  const auto other = b.network->named_parameters();
  for (const auto& parameter : a.network->named_parameters())
    EXPECT_TRUE(torch::equal(parameter.value(), other[parameter.key()])) << parameter.key();
}

/// The runs in the two folders stand at the same place, from which they go on alike: weights, the optimiser's
/// moments, and the position with the seed, of which all random numbers are formulas. (The bytes of the
/// journal, which holds times, may differ.)
inline void expect_same_training_state(const std::string& folder_a, const std::string& folder_b) {
  RunPosition position_a, position_b;
  const Model a = load_last(folder_a, torch::kCPU, position_a),
              b = load_last(folder_b, torch::kCPU, position_b);
  position_a.journal_bytes = position_b.journal_bytes = 0;
  EXPECT_EQ(to_json(position_a), to_json(position_b));
  EXPECT_EQ(a.info.history["seed"], b.info.history["seed"]);

  const auto settings =
      with_context("recipe", [&] { return from_json<TrainingSettings>(a.info.recipe["training"]); });
  const auto state_of = [&](const std::string& folder, const Model& last) {
    TrainingState state;
    state.network = last.network;
    state.optimizer = make_optimizer(settings, *last.network);
    load_moments(folder, last, state);
    return state;
  };
  const TrainingState state_a = state_of(folder_a, a), state_b = state_of(folder_b, b);
  const auto parameters_b = b.network->named_parameters();
  ASSERT_EQ(a.network->named_parameters().size(), parameters_b.size());
  size_t moments = 0;
  for (const auto& parameter : a.network->named_parameters()) {
    SCOPED_TRACE(parameter.key());
    const torch::Tensor other = parameters_b[parameter.key()];
    EXPECT_TRUE(torch::equal(parameter.value(), other));
    const auto moments_a = moments_of(*state_a.optimizer, parameter.value()),
               moments_b = moments_of(*state_b.optimizer, other);
    ASSERT_EQ(moments_a.size(), moments_b.size());
    for (size_t i = 0; i < moments_a.size(); ++i) EXPECT_TRUE(torch::equal(moments_a[i], moments_b[i]));
    moments += moments_a.size();
  }
  EXPECT_GT(moments, 0u);
  const auto buffers_b = b.network->named_buffers();
  for (const auto& buffer : a.network->named_buffers())
    EXPECT_TRUE(torch::equal(buffer.value(), buffers_b[buffer.key()])) << buffer.key();
}

}  // namespace mambaseg

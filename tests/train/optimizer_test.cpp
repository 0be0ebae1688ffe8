#include "mambaseg/train/optimizer.h"

#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/optim/adamw.h>

#include <map>
#include <set>
#include <string>

#include "mambaseg/nets/model/network.h"

namespace mambaseg {
namespace {

/// The names of the parameters of a small network that do not decay.
std::set<std::string> undecayed(const std::string& name, const std::string& decay) {
  Json settings = find_network(name).small;
  const auto network = find_network(name).make(settings);
  network->to(torch::kFloat);  // as the trainer moves it; the marks stay
  TrainingSettings training;
  training.optimizer = "adamw";
  training.weight_decay = 0.1;
  training.decay = decay;
  const auto optimizer = make_optimizer(training, *network);
  std::map<const void*, std::string> name_of;
  for (const auto& entry : network->named_parameters())
    name_of[entry.value().unsafeGetTensorImpl()] = entry.key();
  std::set<std::string> names;
  for (const auto& group : optimizer->param_groups())
    if (static_cast<const torch::optim::AdamWOptions&>(group.options()).weight_decay() == 0)
      for (const auto& parameter : group.params()) names.insert(name_of.at(parameter.unsafeGetTensorImpl()));
  return names;
}

TEST(Optimizer, TheScansAAndDDoNotDecayWhateverTheirNames) {
  int64_t found = 0;
  for (const NetworkEntry& entry : networks()) {
    Json settings = entry.small;
    const auto kept = undecayed(entry.name, "weights");
    for (const auto& parameter : entry.make(settings)->named_parameters()) {
      const std::string last = parameter.key().substr(parameter.key().rfind('.') + 1);
      // A_log, A_logs, A_b_log, A_s_log; D, Ds, D_b, D_s
      const bool of_scan = last.starts_with("A_log") || (last.starts_with("A_") && last.ends_with("_log")) ||
                           last == "D" || last == "Ds" || last == "D_b" || last == "D_s";
      found += of_scan;
      EXPECT_EQ(kept.count(parameter.key()) > 0, of_scan || parameter.value().dim() <= 1)
          << entry.name << ": " << parameter.key();
    }
    EXPECT_TRUE(undecayed(entry.name, "all").empty()) << entry.name;
  }
  EXPECT_GT(found, 0);
}

/// One weight, 1, after two steps of gradient 0.5.
double stepped(TrainingSettings training) {
  training.learning_rate = 0.1;
  struct OneWeight : torch::nn::Module {
    torch::Tensor weight = register_parameter("weight", torch::ones({1, 1}, torch::kDouble));
  } module;
  const auto optimizer = make_optimizer(training, module);
  for (int i = 0; i < 2; ++i) {
    module.weight.mutable_grad() = torch::full({1, 1}, 0.5, torch::kDouble);
    optimizer->step();
  }
  return module.weight.item<double>();
}

TEST(Optimizer, MomentumIsNesterovsOrNot) {
  TrainingSettings training;
  training.optimizer = "sgd";
  training.momentum = 0.9;
  training.weight_decay = 0;
  training.nesterov = false;  // buffers 0.5, 0.95
  EXPECT_NEAR(stepped(training), 1 - 0.1 * (0.5 + 0.95), 1e-12);
  training.nesterov = true;  // gradient + 0.9 buffer
  EXPECT_NEAR(stepped(training), 1 - 0.1 * (0.95 + 1.355), 1e-12);
}

TEST(Optimizer, AdamsDecayIsPartOfTheGradient) {
  TrainingSettings training;
  training.weight_decay = 0.5;
  training.epsilon = 0.25;
  training.betas = {0, 0};  // a step is rate * g / (|g| + epsilon)
  training.optimizer = "adam";
  double weight = 1;
  for (int i = 0; i < 2; ++i) {
    const double gradient = 0.5 + 0.5 * weight;
    weight -= 0.1 * gradient / (gradient + 0.25);
  }
  EXPECT_NEAR(stepped(training), weight, 1e-12);
  training.optimizer = "adamw";
  weight = 1;
  for (int i = 0; i < 2; ++i) weight = weight * (1 - 0.1 * 0.5) - 0.1 * 0.5 / 0.75;
  EXPECT_NEAR(stepped(training), weight, 1e-12);
}

}  // namespace
}  // namespace mambaseg

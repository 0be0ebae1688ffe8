#include "mambaseg/train/optimizer.h"

#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/nn/module.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>
#include <torch/serialize/archive.h>

#include <map>
#include <set>
#include <sstream>
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

/// A convolution whose weights lie channels last, a number without axes, and a parameter that gets its first
/// gradient in the third step.
struct FourParameters : torch::nn::Module {
  FourParameters() {
    torch::manual_seed(1);
    const auto kernel = torch::randn({6, 4, 3, 3}).contiguous(torch::MemoryFormat::ChannelsLast);
    all = {register_parameter("kernel", kernel), register_parameter("bias", torch::randn({6})),
           register_parameter("number", torch::randn({})), register_parameter("late", torch::randn({3, 5}))};
  }
  void give_gradients(int step) {
    torch::manual_seed(100 + step);
    for (size_t i = 0; i < all.size(); ++i)
      if (step >= 2 || i + 1 < all.size()) all[i].mutable_grad() = torch::randn_like(all[i]);
  }
  std::vector<torch::Tensor> all;
};

/// LibTorch's own optimiser over the groups of ours.
template <class Optimizer, class Options>
std::unique_ptr<torch::optim::Optimizer> plain(const torch::optim::Optimizer& ours,
                                               const FourParameters& from, const FourParameters& to) {
  std::map<const void*, torch::Tensor> counterpart;
  for (size_t i = 0; i < to.all.size(); ++i) counterpart[from.all[i].unsafeGetTensorImpl()] = to.all[i];
  std::vector<torch::optim::OptimizerParamGroup> groups;
  for (const auto& group : ours.param_groups()) {
    std::vector<torch::Tensor> parameters;
    for (const auto& one : group.params()) parameters.push_back(counterpart.at(one.unsafeGetTensorImpl()));
    groups.emplace_back(parameters, group.options().clone());
  }
  return std::make_unique<Optimizer>(groups,
                                     static_cast<const Options&>(ours.param_groups().front().options()));
}

std::string archived(const torch::optim::Optimizer& optimizer) {
  torch::serialize::OutputArchive archive;
  optimizer.save(archive);
  std::ostringstream out;
  archive.save_to(out);
  return out.str();
}

void load(torch::optim::Optimizer& optimizer, const std::string& bytes) {
  std::istringstream in(bytes);
  torch::serialize::InputArchive archive;
  archive.load_from(in);
  optimizer.load(archive);
}

/// Six steps of both; after three each goes on from what the other has written.
template <class Optimizer, class Options>
void expect_the_bits_of(const TrainingSettings& training) {
  FourParameters mine, theirs;
  const auto ours = make_optimizer(training, mine);
  const auto other = plain<Optimizer, Options>(*ours, mine, theirs);
  for (int step = 0; step < 6; ++step) {
    if (step == 3) {
      const std::string of_ours = archived(*ours), of_other = archived(*other);
      load(*ours, of_other);
      load(*other, of_ours);
    }
    mine.give_gradients(step);
    theirs.give_gradients(step);
    ours->step();
    other->step();
    for (size_t i = 0; i < mine.all.size(); ++i)
      ASSERT_TRUE(torch::equal(mine.all[i], theirs.all[i])) << "parameter " << i << ", step " << step;
  }
}

TEST(Optimizer, OnTheGpuAStepIsThatOfTheCpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU";
  for (const char* optimizer : {"adamw", "adam", "sgd"}) {
    TrainingSettings training;
    training.optimizer = optimizer;
    training.learning_rate = 0.01;
    FourParameters here, there;
    there.to(torch::kCUDA);
    const auto ours = make_optimizer(training, here), on_gpu = make_optimizer(training, there);
    for (int step = 0; step < 6; ++step) {
      here.give_gradients(step);
      for (size_t i = 0; i < here.all.size(); ++i)
        if (here.all[i].grad().defined()) there.all[i].mutable_grad() = here.all[i].grad().to(torch::kCUDA);
      ours->step();
      on_gpu->step();
    }
    for (size_t i = 0; i < here.all.size(); ++i)  // six changes of 0.01 at most, each rounded some times
      EXPECT_TRUE(torch::allclose(there.all[i].cpu(), here.all[i], 1e-6, 1e-6)) << optimizer << ", " << i;
  }
}

TEST(Optimizer, ListsGiveTheBitsAndTheFilesOfLibTorch) {
  TrainingSettings training;
  training.learning_rate = 0.01;
  for (const char* decay : {"all", "weights"})
    for (const double weight_decay : {0.0, 0.05}) {
      training.decay = decay;
      training.weight_decay = weight_decay;
      SCOPED_TRACE(concat(decay, ", ", weight_decay));
      training.optimizer = "adamw";
      expect_the_bits_of<torch::optim::AdamW, torch::optim::AdamWOptions>(training);
      training.optimizer = "adam";
      expect_the_bits_of<torch::optim::Adam, torch::optim::AdamOptions>(training);
      training.optimizer = "sgd";
      for (const double momentum : {0.0, 0.9})
        for (const bool nesterov : {false, true}) {
          training.momentum = momentum;
          training.nesterov = nesterov;
          SCOPED_TRACE(concat("momentum ", momentum, ", nesterov ", nesterov));
          expect_the_bits_of<torch::optim::SGD, torch::optim::SGDOptions>(training);
        }
    }
}

}  // namespace
}  // namespace mambaseg

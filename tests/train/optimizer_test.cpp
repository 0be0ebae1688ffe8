#include "mambaseg/train/optimizer.h"

#include <gtest/gtest.h>
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

}  // namespace
}  // namespace mambaseg

#pragma once

#include <fstream>
#include <stdexcept>

#include <torch/nn/module.h>
#include <torch/utils.h>

#include "mambaseg/core/sha256.h"
#include "mambaseg/nets/model/checkpoint.h"

namespace mambaseg {

/// Writes a small network with random weights whose last bias decides all: every voxel is of class
/// `everywhere` (of one map of scores: 1 the structure, 0 background).
inline void write_drawn_weights(const std::string& path, const std::string& network, const Json& plan,
                                int64_t maps, int64_t everywhere) {
  torch::manual_seed(7);
  Json config = find_network(network).small;
  config.update({{"name", network}, {"classes", maps}});
  const auto net = make_network(config);
  torch::Tensor bias;
  for (const auto& parameter : net->named_parameters())
    if (parameter.key().ends_with("bias") && parameter.value().numel() == maps) bias = parameter.value();
  if (!bias.defined()) throw std::logic_error("no bias of the classes in " + network);
  const torch::NoGradGuard no_grad;
  bias.fill_(-1000);
  if (maps == 1)
    bias.fill_(everywhere == 1 ? 1000 : -1000);
  else
    bias[everywhere] = 1000;
  save_model(path, *net, {config, plan, Json::object(), Json::object()});
}

/// The table of a card for a file of weights.
inline std::string stage_table(const std::string& folder, const std::string& file) {
  return "[[stages]]\nfile = \"" + file + "\"\nsha256 = \"" + sha256_of_file(folder + "/" + file) + "\"\n";
}

inline std::string card_text(const std::string& task, const std::string& tables) {
  return "title = \"Segments drawn things\"\ntask = \"" + task +
         "\"\ninput = \"drawn images\"\nversion = \"1.0\"\ncitation = \"Nobody 2020\"\n"
         "failures = [\"everything\"]\n" +
         tables;
}

/// A model in a box of its own, for volumes: one class, in patches of 16^3.
inline void write_ball_model(const std::string& folder) {
  write_drawn_weights(folder + "/a.safetensors", "medsegmamba",
                      {{"conform", "none"},
                       {"orientation", "RAS"},
                       {"patch", {16, 16, 16}},
                       {"classes", {{{"name", "ball"}, {"ids", {10}}}}}},
                      2, 1);
  std::ofstream(folder + "/model.toml") << card_text("volumes", stage_table(folder, "a.safetensors"));
}

}  // namespace mambaseg

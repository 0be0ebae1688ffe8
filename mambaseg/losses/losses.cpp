#include <algorithm>

#include "mambaseg/losses/cross_entropy.h"
#include "mambaseg/losses/cross_pseudo_supervision.h"
#include "mambaseg/losses/dice.h"
#include "mambaseg/losses/dice_bce_boundary.h"
#include "mambaseg/losses/dice_binary_cross_entropy.h"
#include "mambaseg/losses/dice_cross_entropy.h"
#include "mambaseg/losses/slice_presence.h"

namespace mambaseg {
namespace {

Json without_name(Json config) {
  config.erase("name");
  return config;
}

}  // namespace

const std::vector<LossEntry>& losses() {
  static const std::vector<LossEntry> list{dice_entry,
                                           cross_entropy_entry,
                                           dice_cross_entropy_entry,
                                           dice_binary_cross_entropy_entry,
                                           dice_bce_boundary_entry,
                                           slice_presence_entry,
                                           cross_pseudo_supervision_entry};
  return list;
}

const LossEntry& find_loss(const Json& config) {
  if (!config.is_object() || !config.contains("name") || !config["name"].is_string())
    throw UsageError("setting loss.name: expected the name of a loss");
  const auto name = config["name"].get<std::string>();
  std::vector<std::string> names;
  for (const LossEntry& entry : losses()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  const std::string near = nearest_word(name, names.data(), names.data() + names.size());
  throw UsageError(concat("no loss is called `", name, "`, ",
                          near.empty() ? "known: dice, cross_entropy, ..." : "did you mean `" + near + "`?"));
}

void require_softmax(const torch::Tensor& scores) {
  if (scores.size(1) < 2)
    throw UsageError(
        "loss: this one needs a map of scores for each class; a network with one map learns with "
        "dice_bce_boundary or slice_presence");
}

void require_loss_for(const Json& config, const LossData& data) {
  const LossEntry& entry = find_loss(config);
  if (!data.regions.empty() && !entry.takes_regions)
    throw UsageError(concat("setting loss.name: ", entry.name,
                            " learns classes that exclude each other, but the plan's are regions "
                            "(regions_class_order); expected dice_binary_cross_entropy"));
  if (data.ignores && !entry.takes_ignored)
    throw UsageError(
        concat("setting loss.name: ", entry.name, " cannot leave out voxels of plan.ignore_label"));
}

std::unique_ptr<Loss> make_loss(const Json& config, const LossData& data) {
  require_loss_for(config, data);
  return find_loss(config).make(without_name(config), data);
}

Json complete_loss_settings(const Json& config) {
  Json complete = find_loss(config).settings();
  complete.merge_patch(config);
  return complete;
}

}  // namespace mambaseg

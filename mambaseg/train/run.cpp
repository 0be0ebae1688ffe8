#include "mambaseg/train/run.h"

#include "mambaseg/data/preprocess.h"
#include "mambaseg/losses/loss.h"
#include "mambaseg/nets/network.h"

namespace mambaseg {

RunSettings resolved(RunSettings settings) {
  if (!settings.network.is_object() || !settings.network.contains("name") ||
      !settings.network["name"].is_string())
    throw UsageError("setting network.name: expected the name of a network");
  if (settings.plan.classes.empty()) throw UsageError("setting plan.classes: expected at least one class");
  check_plan(settings.plan);
  const NetworkEntry& entry = find_network(settings.network["name"].get<std::string>());
  Json network = entry.settings();
  network["name"] = entry.name;
  network["classes"] = settings.plan.classes.size() + 1;
  network.merge_patch(settings.network);
  settings.network = network;
  if (network["classes"] != settings.plan.classes.size() + 1)
    throw UsageError(concat("setting network.classes: ", network["classes"].dump(),
                            ", but plan.classes and the ", "background are ",
                            settings.plan.classes.size() + 1));
  settings.loss = complete_loss_settings(settings.loss);
  return settings;
}

}  // namespace mambaseg

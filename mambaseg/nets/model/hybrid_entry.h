#pragma once

#include "mambaseg/nets/layers/without_scans.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// The settings of a network with state-space layers, and whether its twin without them is meant.
template <class Settings>
struct HybridSettings : Settings {
  bool without_mamba = false;
  void describe(SettingsVisitor& visit) {
    Settings::describe(visit);
    visit("without_mamba", without_mamba,
          "the network's twin: each state-space layer replaced by convolutions of about as many parameters, "
          "all else equal");
  }
};

/// As network_entry, of a network with state-space layers, which then has the setting without_mamba.
template <class Settings, class Make>
NetworkEntry hybrid_entry(NetworkFacts facts, Make) {
  return network_entry<HybridSettings<Settings>>(
      std::move(facts), [](const HybridSettings<Settings>& s) -> std::shared_ptr<Network> {
        const WithoutScansGuard guard(s.without_mamba);
        return Make{}(s);
      });
}

/// UsageError where `settings` ask for a twin that the network has not.
void require_twin(const NetworkEntry& entry, const Json& settings);

}  // namespace mambaseg

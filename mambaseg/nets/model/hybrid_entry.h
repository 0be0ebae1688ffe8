#pragma once

#include "mambaseg/nets/layers/chosen_orders.h"
#include "mambaseg/nets/layers/without_scans.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// The settings of a network with state-space layers, along what they scan, and whether its twin without them
/// is meant.
template <class Settings>
struct HybridSettings : Settings {
  std::string orders;
  bool without_mamba = false;
  void describe(SettingsVisitor& visit) {
    Settings::describe(visit);
    visit("orders", orders,
          "scan orders in place of the paper's: FAMILY or FAMILY:ORIENTATION (mambaseg orders lists them). "
          "A mixer with weights for each walk then has as many as there are walks, so other shapes; one that "
          "reads one row takes the first walk");
    visit("without_mamba", without_mamba,
          "the network's twin: each state-space layer replaced by convolutions of about as many parameters, "
          "all else equal");
  }
};

/// As network_entry, of a network with state-space layers, which then has the settings orders and
/// without_mamba.
template <class Settings, class Make>
NetworkEntry hybrid_entry(NetworkFacts facts, Make) {
  return network_entry<HybridSettings<Settings>>(
      std::move(facts), [](const HybridSettings<Settings>& s) -> std::shared_ptr<Network> {
        const WithoutScansGuard twin(s.without_mamba);
        const ChosenOrdersGuard orders(s.orders);
        const std::shared_ptr<Network> network = Make{}(s);
        orders.require_taken();
        return network;
      });
}

/// UsageError where `settings` ask for a twin that the network has not.
void require_twin(const NetworkEntry& entry, const Json& settings);

}  // namespace mambaseg

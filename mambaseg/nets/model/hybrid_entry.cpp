#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {

void require_twin(const NetworkEntry& entry, const Json& settings) {
  if (settings.contains("without_mamba") && !entry.settings().contains("without_mamba"))
    throw UsageError(concat("without_mamba: ", entry.name,
                            " has no state-space layers that convolutions could stand for"));
}

}  // namespace mambaseg

#pragma once

#include <string>

#include "mambaseg/segment/bids_images.h"
#include "mambaseg/segment/segment.h"

namespace mambaseg {

/// What a BIDS App is asked for (Gorgolewski et al. 2017, doi 10.1371/journal.pcbi.1005209).
struct BidsRequest {
  std::string dataset;  ///< a BIDS data set
  BidsSelection selection;
  bool unchecked = false;  ///< its description may be missing
  SegmentRequest segment;  ///< without inputs; its output becomes a BIDS derivative data set
};

/// The level "participant": segments each T1-weighted image of the selection; files: BidsDerivatives. Those
/// that have labels are passed over, so any number of calls, one participant each or all, make one data set.
/// Throws UsageError and Error as segment_images.
void segment_bids(const BidsRequest& request, const Listeners& listeners);

/// The level "group": BidsDerivatives::write_group of the selection.
void tabulate_bids(const BidsRequest& request, const Listeners& listeners);

}  // namespace mambaseg

#pragma once

#include <string>
#include <vector>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// A T1-weighted image of a BIDS data set.
struct BidsImage {
  std::string participant;  ///< "sub-01"
  std::string session;      ///< "ses-1"; "" where the participant has no sessions
  std::string entities;     ///< "sub-01_ses-1_run-2": the name without its last word
  std::string path;

  std::string name() const { return entities + "_T1w"; }
  /// The folder of the image in any data set: "sub-01/ses-1/anat".
  std::string folder() const;
};

/// Which images: labels of participants and sessions, with or without "sub-" and "ses-"; empty: all.
struct BidsSelection {
  std::vector<std::string> participants, sessions;
};

/// What `dataset`/dataset_description.json says. Throws Error, with what lies in the folder, when there is
/// none, and when it lacks the keys Name and BIDSVersion, which BIDS requires.
Json read_dataset_description(const std::string& dataset);

/// The files sub-*/[ses-*/]anat/*_T1w.nii[.gz] of the selection, in the order of their names. Throws Error
/// when there is none, one of the participants or one of the sessions is not there, saying what is.
std::vector<BidsImage> find_bids_images(const std::string& dataset, const BidsSelection& selection);

}  // namespace mambaseg

#pragma once

#include <string>
#include <vector>

#include "mambaseg/data/datasets.h"

namespace mambaseg {

/// One image to predict, and where its labels go.
struct PredictionCase {
  std::string name;                 ///< "hippocampus_001"
  std::vector<std::string> inputs;  ///< one file a channel
  std::string output;               ///< of the first stage
  std::string second_output;        ///< of the second stage
};

/// The cases of `input`: a file or a DICOM folder (one case, written to the file `output`), a folder of
/// images, a FreeSurfer subject (mri/brainmask.mgz, else mri/norm.mgz), or a folder of subjects, templates
/// left out. For a model of several `channels` CASE_0000.nii.gz, CASE_0001.nii.gz, ... are those of CASE
/// (nnU-Net); for a model of one, CASE_0000 is CASE where every number is 0000, and amos_0004, amos_0008 are
/// cases. From a folder, outputs are OUTPUT/CASE.nii.gz and OUTPUT/stage2/CASE.nii.gz; from a file FILE and
/// FILE_stage2. Sorted by name. Throws Error when there is no case, two have one name or a channel is
/// missing, UsageError when an output file name has no known ending.
std::vector<PredictionCase> find_cases(const std::string& input, const std::string& output,
                                       int64_t channels = 1);

/// Those of a data set, with OUTPUT/ID.nii.gz and OUTPUT/stage2/ID.nii.gz.
std::vector<PredictionCase> cases_of(const std::vector<Case>& dataset, const std::string& output);

}  // namespace mambaseg

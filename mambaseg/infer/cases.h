#pragma once

#include <string>
#include <vector>

namespace mambaseg {

/// One image to predict, and where its labels go.
struct PredictionCase {
  std::string name;                 ///< "hippocampus_001"
  std::vector<std::string> inputs;  ///< one file a channel
  std::string output;               ///< of the first stage
  std::string second_output;        ///< of the second stage
};

/// The cases of `input`: a file or a DICOM folder (one case, written to the file `output`), a folder of
/// images (nnU-Net's CASE_0000.nii.gz, CASE_0001.nii.gz, ... are the channels of CASE), a FreeSurfer subject
/// (mri/brainmask.mgz, else mri/norm.mgz), or a folder of subjects. From a folder, outputs are
/// OUTPUT/CASE.nii.gz and OUTPUT/stage2/CASE.nii.gz; from a file FILE and FILE_stage2. Sorted by name. Throws
/// Error when there is no case, two have one name or a channel is missing, UsageError when an output file
/// name has no known ending.
std::vector<PredictionCase> find_cases(const std::string& input, const std::string& output);

}  // namespace mambaseg

#pragma once

#include <string>
#include <vector>

namespace mambaseg {

/// A file name as nnU-Net numbers channels: "x" and 1 of "x_0001". Channel -1: the name has no such number.
struct NumberedName {
  std::string name;
  int64_t channel = -1;
};
NumberedName numbered_name(const std::string& stem);

/// Whether the numbers at the end of names are channels, for a model of so many channels: with one channel
/// only where every number is 0000, as amos_0004 and amos_0008 are two cases.
bool numbers_are_channels(const std::vector<std::string>& stems, int64_t channels);

/// True for the templates that FreeSurfer links into every SUBJECTS_DIR (fsaverage, fsaverage5,
/// lh.EC_average, cvs_avg35, ...): they are no scans of a study.
bool is_freesurfer_template(const std::string& subject);

}  // namespace mambaseg

#include "mambaseg/data/case_names.h"

#include <algorithm>

#include "mambaseg/core/error.h"

namespace mambaseg {

NumberedName numbered_name(const std::string& stem) {
  const size_t n = stem.size();
  const bool numbered = n > 5 && stem[n - 5] == '_' &&
                        std::all_of(stem.end() - 4, stem.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!numbered) return {stem, -1};
  return {stem.substr(0, n - 5), std::stoi(stem.substr(n - 4))};
}

bool numbers_are_channels(const std::vector<std::string>& stems, int64_t channels) {
  return channels > 1 || std::all_of(stems.begin(), stems.end(), [](const std::string& stem) {
           return numbered_name(stem).channel <= 0;
         });
}

bool is_freesurfer_template(const std::string& subject) {
  return subject.starts_with("fsaverage") || subject.starts_with("cvs_avg35") || subject == "lh.EC_average" ||
         subject == "rh.EC_average" || subject == "V1_average";
}

}  // namespace mambaseg

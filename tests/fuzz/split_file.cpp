#include "mambaseg/data/datasets.h"
#include "tests/fuzz/target.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {

/// The lists of a run, or nnU-Net's folds.
void fuzz_split_file(const std::string& bytes, const std::string& folder) {
  SplitSettings settings;
  settings.file = folder + "/split.json";
  write_bytes(settings.file, bytes);
  split_cases({{"a", {}, "", ""}, {"b", {}, "", ""}}, settings);
}

}  // namespace mambaseg

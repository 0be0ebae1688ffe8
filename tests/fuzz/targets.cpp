#include "tests/fuzz/target.h"

#include "mambaseg/core/error.h"

namespace mambaseg {

std::span<const FuzzTarget> fuzz_targets() {
  static constexpr FuzzTarget kTargets[] = {
      {"dataset_json", fuzz_dataset_json},
      {"dicom", fuzz_dicom},
      {"dicom_outline", fuzz_dicom_outline},
      {"exif", fuzz_exif},
      {"label_table", fuzz_label_table},
      {"metaimage", fuzz_metaimage},
      {"mgh", fuzz_mgh},
      {"model", fuzz_model},
      {"nifti", fuzz_nifti},
      {"npy", fuzz_npy},
      {"nrrd", fuzz_nrrd},
      {"pickle", fuzz_pickle},
      {"picture", fuzz_picture},
      {"plan", fuzz_plan},
      {"recipe", fuzz_recipe},
      {"split_file", fuzz_split_file},
      {"torch_file", fuzz_torch_file},
  };
  return kTargets;
}

const FuzzTarget& fuzz_target(const std::string& name) {
  for (const FuzzTarget& target : fuzz_targets())
    if (target.name == name) return target;
  throw Error(concat("no fuzz target is called ", name));
}

}  // namespace mambaseg

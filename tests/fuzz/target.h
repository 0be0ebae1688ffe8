#pragma once

#include <span>
#include <string>

namespace mambaseg {

/// A reader of foreign bytes, as the fuzzers call it. `read` may use `folder`, which is there and else empty,
/// for files; it throws Error when it refuses the bytes. Anything else that leaves it, a signal, more than 2
/// GB or more than 5 s is a finding.
struct FuzzTarget {
  const char* name;
  void (*read)(const std::string& bytes, const std::string& folder);
};

/// Every target (targets.cpp).
std::span<const FuzzTarget> fuzz_targets();

/// The target of that name. Throws Error when there is none.
const FuzzTarget& fuzz_target(const std::string& name);

// One file each.
void fuzz_dataset_json(const std::string& bytes, const std::string& folder);
void fuzz_dicom(const std::string& bytes, const std::string& folder);
void fuzz_dicom_outline(const std::string& bytes, const std::string& folder);
void fuzz_exif(const std::string& bytes, const std::string& folder);
void fuzz_label_table(const std::string& bytes, const std::string& folder);
void fuzz_metaimage(const std::string& bytes, const std::string& folder);
void fuzz_mgh(const std::string& bytes, const std::string& folder);
void fuzz_model(const std::string& bytes, const std::string& folder);
void fuzz_nifti(const std::string& bytes, const std::string& folder);
void fuzz_npy(const std::string& bytes, const std::string& folder);
void fuzz_nrrd(const std::string& bytes, const std::string& folder);
void fuzz_pickle(const std::string& bytes, const std::string& folder);
void fuzz_picture(const std::string& bytes, const std::string& folder);
void fuzz_plan(const std::string& bytes, const std::string& folder);
void fuzz_recipe(const std::string& bytes, const std::string& folder);
void fuzz_split_file(const std::string& bytes, const std::string& folder);
void fuzz_torch_file(const std::string& bytes, const std::string& folder);

}  // namespace mambaseg

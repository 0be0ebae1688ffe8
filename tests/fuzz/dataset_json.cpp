#include <filesystem>

#include "mambaseg/data/datasets.h"
#include "mambaseg/report/label_table.h"
#include "tests/fuzz/target.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {

/// dataset.json of a Decathlon or nnU-Net folder of two cases.
void fuzz_dataset_json(const std::string& bytes, const std::string& folder) {
  for (const char* inner : {"/imagesTr", "/labelsTr"})
    if (std::filesystem::create_directory(folder + inner))
      for (const char* name : {"/a.nii.gz", "/b.nii.gz"}) write_bytes(folder + inner + name, "");
  const std::string path = folder + "/dataset.json";
  write_bytes(path, bytes);
  DatasetSettings settings;
  settings.folder = folder;
  read_dataset(settings);
  read_label_table(path);
}

}  // namespace mambaseg

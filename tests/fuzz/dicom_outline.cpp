#include "mambaseg/io/dicom_outline.h"

#include "tests/fuzz/target.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {

void fuzz_dicom_outline(const std::string& bytes, const std::string& folder) {
  const std::string path = folder + "/slice.dcm";
  write_bytes(path, bytes);
  outline_dicom(path);
}

}  // namespace mambaseg

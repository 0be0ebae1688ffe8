#include "tests/fuzz/image_file.h"
#include "tests/fuzz/target.h"

namespace mambaseg {

/// One file, or both files of a pair where the magic word says so.
void fuzz_nifti(const std::string& bytes, const std::string& folder) {
  const bool pair = bytes.substr(0, 400).find("ni1") != std::string::npos ||
                    bytes.substr(0, 12).find("ni2") != std::string::npos;
  if (pair) write_bytes(folder + "/image.img", bytes);
  read_as_image(bytes, folder + (pair ? "/image.hdr" : "/image.nii"));
}

}  // namespace mambaseg

#include "tests/fuzz/image_file.h"
#include "tests/fuzz/target.h"

namespace mambaseg {

void fuzz_nrrd(const std::string& bytes, const std::string& folder) {
  read_as_image(bytes, folder + "/image.nrrd");
}

}  // namespace mambaseg

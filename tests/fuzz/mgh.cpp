#include "tests/fuzz/image_file.h"
#include "tests/fuzz/target.h"

namespace mambaseg {

void fuzz_mgh(const std::string& bytes, const std::string& folder) {
  read_as_image(bytes, folder + "/image.mgh");
}

}  // namespace mambaseg

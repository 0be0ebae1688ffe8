#include "mambaseg/io/exif.h"

#include <cstdlib>

#include "tests/fuzz/target.h"

namespace mambaseg {

/// The place of Exif in a JPEG file, and the turn that it asks for.
void fuzz_exif(const std::string& bytes, const std::string& /*folder*/) {
  const int orientation = exif_orientation(bytes);
  if (orientation < 1 || orientation > 8) std::abort();
  const Picture turned = upright({3, 2, 1, {1, 2, 3, 4, 5, 6}}, orientation);
  if (turned.width * turned.height != 6 || turned.values.size() != 6) std::abort();
}

}  // namespace mambaseg

// Takes the place of the files that use ITK in a build without it (MAMBASEG_ITK=OFF).

#include "mambaseg/core/error.h"
#include "mambaseg/io/formats.h"

namespace mambaseg {

Image read_dicom(const std::string&, Part, const Warn&) {
  throw Error(
      "this program was built without ITK (MAMBASEG_ITK=OFF) and cannot read DICOM; convert it to NIfTI "
      "first, "
      "for example with dcm2niix");
}

}  // namespace mambaseg

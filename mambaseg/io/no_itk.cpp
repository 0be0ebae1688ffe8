// Takes the place of the files that use ITK in a build without it (MAMBASEG_ITK=OFF).

#include "mambaseg/core/error.h"
#include "mambaseg/io/formats.h"
#include "mambaseg/io/picture.h"

namespace mambaseg {
namespace {

[[noreturn]] void refuse(const char* what) {
  throw Error(concat("this program was built without ITK (MAMBASEG_ITK=OFF) and cannot read or write ", what,
                     "; use NIfTI, MGH/MGZ, NRRD or MetaImage"));
}

}  // namespace

Image read_dicom(const std::string&, Part, const Warn&) { refuse("DICOM"); }
Image read_grey_picture(const std::string&, Part, const Warn&) { refuse("pictures"); }
bool pictures_are_supported() { return false; }
Picture read_picture(const std::string& path) {
  return with_context(path, []() -> Picture { refuse("pictures"); });
}
void write_picture(const std::string& path, const Picture&) {
  with_context(path, [] { refuse("pictures"); });
}

}  // namespace mambaseg

#pragma once

#include <string>

namespace mambaseg {

/// What a walk over the elements of a DICOM file finds without a DICOM library.
struct DicomOutline {
  std::string series;  ///< SeriesInstanceUID
  bool has_pixels = false;
};

/// True when the file has the mark "DICM" after 128 bytes.
bool has_dicom_mark(const std::string& path);

/// Walks over all elements of a file with the mark. Throws Error when one does not fit into the file: GDCM
/// takes a file that is cut off for a whole one, or ends the program.
DicomOutline outline_dicom(const std::string& path);

}  // namespace mambaseg

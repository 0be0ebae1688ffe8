#pragma once

#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mambaseg/core/geometry.h"

namespace mambaseg {

/// What a walk over the elements of a DICOM file finds without a DICOM library.
struct DicomOutline {
  std::string transfer_syntax;   ///< UID; "" in files without file meta information
  std::string object;            ///< SOPClassUID
  std::string instance;          ///< SOPInstanceUID
  std::string series;            ///< SeriesInstanceUID
  std::string series_words;      ///< SeriesDescription
  std::string photometric;       ///< PhotometricInterpretation
  std::string lookup_table;      ///< "there" when a Modality LUT stands for slope and intercept
  int64_t frames = 1;            ///< NumberOfFrames
  std::set<std::string> slopes;  ///< RescaleSlope, RescaleIntercept as they are written, of all frames
  /// ImagePositionPatient in the file's coordinates (mm to the Left, Posterior, Superior): of the file, or of
  /// each frame; empty when not there.
  std::vector<Vector3> positions;
  std::set<std::string> orientations;      ///< ImageOrientationPatient as written, of all frames
  std::set<std::string> spacings;          ///< PixelSpacing as written, of all frames
  std::string imager_spacing;              ///< ImagerPixelSpacing or NominalScannedPixelSpacing, as written
  int64_t bits_stored = 0, high_bit = -1;  ///< of a pixel; 0 and -1 when not there
  bool lacks_mark = false;                 ///< file meta information stands at byte 0
  int64_t photometric_at = 0;              ///< the byte where the value of PhotometricInterpretation begins
  bool has_pixels = false;
  int64_t end = 0;         ///< the byte behind the pixels; 0 where the elements are deflated
  bool is_packed = false;  ///< the elements are deflated and could not be looked at
};

/// The byte where the elements of a DICOM file begin: after 128 bytes and the mark "DICM", after the mark,
/// or, in files without both, at 0. Nothing when this is no DICOM file.
std::optional<int64_t> dicom_start(const std::string& path);

/// "1\\2.5\\-3", as DICOM writes numbers; empty when one of them is none.
std::vector<double> dicom_numbers(std::string text);

/// Walks over all elements of a file with a dicom_start. Throws Error when one does not fit into the file:
/// GDCM takes a file that is cut off for a whole one, or ends the program.
DicomOutline outline_dicom(const std::string& path);

}  // namespace mambaseg

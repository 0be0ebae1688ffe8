#pragma once

#include <functional>
#include <string>

#include "mambaseg/io/image.h"

namespace itk {
class ImageIOBase;
}

namespace mambaseg {

/// Throws Error when `reader`, whose header is read, announces far more bytes than its file can hold, packed
/// as well as may be. Call before memory is taken.
void check_growth(itk::ImageIOBase& reader);

/// The whole of what `reader`, whose header is read, points at, one number a voxel.
VoxelData read_itk_voxels(itk::ImageIOBase& reader);

/// Size and voxel-to-RAS map of `reader`, whose header is read. ITK speaks of mm to the Left, Posterior and
/// Superior.
Geometry itk_geometry(itk::ImageIOBase& reader);

/// Runs `action` with ITK's and GDCM's printing off; an ITK exception becomes an Error with its cause on one
/// line.
void run_itk(const std::function<void()>& action);

/// A file in memory that holds `bytes`, for libraries that read by path.
class ReadableCopy {
 public:
  explicit ReadableCopy(const std::string& bytes);
  ~ReadableCopy();
  ReadableCopy(const ReadableCopy&) = delete;
  ReadableCopy& operator=(const ReadableCopy&) = delete;
  std::string path() const;

 private:
  int file_;
};

}  // namespace mambaseg

#pragma once

#include <string>
#include <vector>

#include "mambaseg/io/byte_file.h"
#include "mambaseg/io/image.h"

namespace mambaseg {

/// Where the voxels of a format with a text header (NRRD, MetaImage) lie, and how.
struct VoxelSource {
  enum class Encoding { kRaw, kDeflated, kBzip2, kText, kHex };

  std::vector<std::string> files;  ///< equal shares one behind the other; none: they follow the header
  Encoding encoding = Encoding::kRaw;
  int64_t skipped_lines = 0;  ///< of each file, before it is unpacked
  int64_t skipped_bytes = 0;  ///< of each file, after it is unpacked; -1: the voxels are its last bytes
  bool big_endian = false;
};

/// The `count` voxels of the number type with place `type` in VoxelData. `header` stands where the header
/// ends. Throws Error when a file is missing, cut off or damaged, or a written number does not fit.
VoxelData read_voxels(const VoxelSource& source, ByteReader& header, size_t type, size_t count);

/// The files that a header at `header_path` numbers: `pattern` has one %d (%3d, %03d) for `first`, `first` +
/// `step`, ... to `last`. Throws Error when they cannot be counted.
std::vector<std::string> numbered_files(const std::string& header_path, const std::string& pattern,
                                        int64_t first, int64_t last, int64_t step);

/// The path of a file that a header at `header_path` names: beside the header unless it is absolute.
std::string beside_header(const std::string& header_path, const std::string& name);

}  // namespace mambaseg

#pragma once

#include <zip.h>

#include <string>
#include <utility>
#include <vector>

#include "mambaseg/core/error.h"

namespace mambaseg {

/// Writes a zip file of these records, not packed, as torch.save does.
inline void write_zip(const std::string& path,
                      const std::vector<std::pair<std::string, std::string>>& records) {
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  require(archive != nullptr, path, ": cannot be written");
  for (const auto& [name, bytes] : records) {
    const zip_int64_t index =
        zip_file_add(archive, name.c_str(), zip_source_buffer(archive, bytes.data(), bytes.size(), 0), 0);
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0);
  }
  require(zip_close(archive) == 0, path, ": cannot be written");
}

}  // namespace mambaseg

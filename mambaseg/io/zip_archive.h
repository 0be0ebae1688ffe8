#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct zip;

namespace mambaseg {

/// A zip file open for reading.
class ZipArchive {
 public:
  using Bytes = std::vector<unsigned char>;

  /// Throws Error: `no_zip` for a file that is none.
  ZipArchive(const std::string& path, const std::string& no_zip);
  ZipArchive(const ZipArchive&) = delete;
  ZipArchive& operator=(const ZipArchive&) = delete;
  ~ZipArchive();

  /// Of the records, in the order of the file.
  std::vector<std::string> names() const;
  bool has(const std::string& name) const;
  /// What a record holds, unpacked. Throws Error on one that is not there, cut off or damaged, and on one
  /// that claims more than the file can hold.
  Bytes read(const std::string& name) const;

 private:
  zip* archive_ = nullptr;
  uint64_t packed_size_ = 0;
};

}  // namespace mambaseg

#include "mambaseg/io/zip_archive.h"

#include <zip.h>

#include <filesystem>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr uint64_t kDeflateLimit = 1032;  // no deflate stream grows by more

}  // namespace

ZipArchive::ZipArchive(const std::string& path, const std::string& no_zip) {
  std::error_code failed;
  packed_size_ = std::filesystem::file_size(path, failed);
  int code = 0;
  archive_ = zip_open(path.c_str(), ZIP_RDONLY, &code);
  if (archive_ != nullptr) return;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string words = zip_error_strerror(&error);
  zip_error_fini(&error);
  require(code != ZIP_ER_NOZIP, no_zip);
  throw Error("cannot open: " + words);
}

ZipArchive::~ZipArchive() { zip_discard(archive_); }

std::vector<std::string> ZipArchive::names() const {
  std::vector<std::string> out;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive_, 0); ++i) {
    const char* name = zip_get_name(archive_, static_cast<zip_uint64_t>(i), 0);
    out.emplace_back(name == nullptr ? "" : name);
  }
  return out;
}

bool ZipArchive::has(const std::string& name) const {
  return zip_name_locate(archive_, name.c_str(), 0) >= 0;
}

ZipArchive::Bytes ZipArchive::read(const std::string& name) const {
  zip_stat_t status;
  require(zip_stat(archive_, name.c_str(), 0, &status) == 0 && (status.valid & ZIP_STAT_SIZE), "no record ",
          name);
  require(status.size / kDeflateLimit <= packed_size_, "record ", name, " should have ", status.size,
          " bytes, which a file of ", packed_size_, " bytes cannot hold");
  zip_file_t* file = zip_fopen(archive_, name.c_str(), 0);
  require(file != nullptr, "cannot read record ", name);
  Bytes bytes(status.size);
  zip_int64_t got = 0;
  uint64_t done = 0;
  while (done < status.size && (got = zip_fread(file, bytes.data() + done, status.size - done)) > 0)
    done += static_cast<uint64_t>(got);
  // Reading past the end makes the library compare the checksum.
  unsigned char beyond = 0;
  const bool intact = done == status.size && zip_fread(file, &beyond, 1) == 0;
  zip_fclose(file);
  require(intact, "record ", name, " is cut off or damaged");
  return bytes;
}

}  // namespace mambaseg

#include "mambaseg/io/byte_file.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "mambaseg/core/error.h"
#include "mambaseg/io/packed_bytes.h"

namespace mambaseg {
namespace {

constexpr size_t kPiece = size_t{1} << 28;  // zlib counts in int
constexpr size_t kRestPiece = size_t{1} << 20;
constexpr unsigned kBuffer = 1u << 18;

std::string cause_of(gzFile file) {
  int code = Z_OK;
  const char* text = gzerror(file, &code);
  if (code == Z_ERRNO) return std::strerror(errno);
  if (code == Z_BUF_ERROR) return "the gzip data are cut off";
  return concat("the gzip data are damaged (", text, ")");
}

}  // namespace

ByteReader::ByteReader(const std::string& path) : packed_size_(0) {
  errno = 0;
  file_ = gzopen(path.c_str(), "rbe");
  require(file_ != nullptr, errno != 0 ? std::strerror(errno) : "not enough memory");
  gzbuffer(file_, kBuffer);
  std::error_code failed;
  const auto size = std::filesystem::file_size(path, failed);
  packed_size_ = failed ? SIZE_MAX : static_cast<size_t>(size);
}

ByteReader::~ByteReader() { gzclose_r(file_); }

size_t ByteReader::read_some(void* bytes, size_t count) {
  size_t done = 0;
  while (done < count) {
    const auto piece = static_cast<unsigned>(std::min(count - done, kPiece));
    const int got = gzread(file_, static_cast<char*>(bytes) + done, piece);
    if (got < 0) throw Error(cause_of(file_));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

void ByteReader::read(void* bytes, size_t count, const std::string& what) {
  const size_t got = read_some(bytes, count);
  require(got == count, what, " is cut off: ", got, " of ", count, " bytes are there");
}

void ByteReader::skip(size_t count, const std::string& what) {
  std::array<char, 4096> bytes;
  for (size_t left = count; left > 0;) {
    const size_t piece = std::min(left, bytes.size());
    read(bytes.data(), piece, what);
    left -= piece;
  }
}

std::string ByteReader::read_rest() {
  std::string rest;
  for (size_t size = 0; rest.size() == size;) {
    size += kRestPiece;
    rest.resize(size);
    rest.resize(size - kRestPiece + read_some(rest.data() + size - kRestPiece, kRestPiece));
  }
  return rest;
}

bool ByteReader::is_plain() { return gzdirect(file_) != 0; }

void ByteReader::expect(size_t count, const std::string& what) {
  const size_t growth = is_plain() ? 1 : kDeflateLimit;
  require(packed_size_ == SIZE_MAX || count / growth <= packed_size_, what, " is cut off: ", count,
          " bytes were announced, the file has ", packed_size_);
}

void ByteReader::finish() {
  std::vector<char> rest(kBuffer);
  while (read_some(rest.data(), rest.size()) == rest.size()) {
  }
  int code = Z_OK;
  gzerror(file_, &code);
  require(code == Z_OK, cause_of(file_));
}

ByteWriter::ByteWriter(const std::string& path, Packing packing) {
  errno = 0;
  // Level 3 takes a third of the time of zlib's default 6 and loses a few percent in size.
  file_ = gzopen(path.c_str(), packing == Packing::kGzip ? "wb3e" : "wbTe");
  require(file_ != nullptr, errno != 0 ? std::strerror(errno) : "not enough memory");
  gzbuffer(file_, kBuffer);
}

ByteWriter::~ByteWriter() {
  if (file_ != nullptr) gzclose_w(file_);
}

void ByteWriter::write(const void* bytes, size_t count) {
  for (size_t done = 0; done < count;) {
    const auto piece = static_cast<unsigned>(std::min(count - done, kPiece));
    errno = 0;
    if (gzwrite(file_, static_cast<const char*>(bytes) + done, piece) != static_cast<int>(piece))
      throw Error(errno != 0 ? std::strerror(errno) : "the disk took only a part");
    done += piece;
  }
}

void ByteWriter::close() {
  gzFile file = file_;
  file_ = nullptr;
  errno = 0;
  if (gzclose_w(file) != Z_OK) throw Error(errno != 0 ? std::strerror(errno) : "the disk took only a part");
}

}  // namespace mambaseg

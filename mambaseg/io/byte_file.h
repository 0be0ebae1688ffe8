#pragma once

#include <cstddef>
#include <string>

struct gzFile_s;

namespace mambaseg {

/// Reads bytes of a file in order, unpacking gzip when the content (not the name) is gzip. Errors carry the
/// cause only; the caller names the file.
class ByteReader {
 public:
  /// Throws Error when the file cannot be opened.
  explicit ByteReader(const std::string& path);
  ~ByteReader();
  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;

  /// Reads exactly `count` bytes. Throws Error saying that `what` is cut off, or that the gzip data are
  /// damaged.
  void read(void* bytes, size_t count, const std::string& what);
  /// Reads at most `count` bytes; returns how many there were.
  size_t read_some(void* bytes, size_t count);
  void skip(size_t count, const std::string& what);
  /// All bytes up to the end.
  std::string read_rest();
  /// Whether the file is read as it is: it does not begin as gzip does.
  bool is_plain();
  /// Call before memory is taken for `count` more bytes: throws the Error of read() when the file is far too
  /// small.
  void expect(size_t count, const std::string& what);
  /// Reads to the end, so that zlib compares the check sum of gzip data. Throws Error.
  void finish();

 private:
  gzFile_s* file_;
  size_t packed_size_;
};

/// Writes bytes of a file in order. A short write (a full disk) is an Error with the cause.
class ByteWriter {
 public:
  enum class Packing { kNone, kGzip };

  ByteWriter(const std::string& path, Packing packing);
  ~ByteWriter();
  ByteWriter(const ByteWriter&) = delete;
  ByteWriter& operator=(const ByteWriter&) = delete;

  void write(const void* bytes, size_t count);
  /// Writes what is still held back. A file that was not closed so is not whole.
  void close();

 private:
  gzFile_s* file_;
};

}  // namespace mambaseg

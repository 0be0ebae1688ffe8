#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "mambaseg/io/deflate_streams.h"
#include "mambaseg/io/open_file.h"

namespace mambaseg {

/// Reads bytes of a file in order, unpacking gzip when the content (not the name) is gzip: streams one behind
/// the other (bgzip, pigz) are one; what follows the last and is no gzip is left, as zlib does. Errors carry
/// the cause only; the caller names the file.
class ByteReader {
 public:
  /// Throws Error when the file cannot be opened or is no file.
  explicit ByteReader(const std::string& path);

  /// Reads exactly `count` bytes. Throws Error saying that `what` is cut off, or that the gzip data are
  /// damaged.
  void read(void* bytes, size_t count, const std::string& what);
  /// Reads at most `count` bytes; returns how many there were.
  size_t read_some(void* bytes, size_t count);
  void skip(size_t count, const std::string& what);
  /// All bytes up to the end.
  std::string read_rest();
  /// Whether the file is read as it is: it does not begin as gzip does.
  bool is_plain() const { return inflater_ == nullptr; }
  /// Call before memory is taken for `count` more bytes: throws the Error of read() when the file is far too
  /// small.
  void expect(size_t count, const std::string& what) const;
  /// Reads to the end, so that the check sum of gzip data is compared. Throws Error.
  void finish();

 private:
  /// At least so many bytes wait in the buffer, or all that the file still has.
  void fill(size_t least);
  size_t read_plain(std::span<std::byte> out);
  size_t unpack(std::span<std::byte> out);

  OpenFile file_;
  size_t packed_size_;
  std::unique_ptr<std::byte[]> buffer_;
  std::span<const std::byte> waiting_;  ///< of the buffer
  std::unique_ptr<Inflater> inflater_;  ///< none: the file is plain
  bool in_stream_ = true;               ///< of gzip: what comes belongs to the stream that was begun
  bool cut_off_ = false;
};

/// Writes bytes of a file in order. A short write (a full disk) is an Error with the cause.
class ByteWriter {
 public:
  enum class Packing { kNone, kGzip };

  ByteWriter(const std::string& path, Packing packing);

  void write(const void* bytes, size_t count);
  /// Writes what is still held back. A file that was not closed so is not whole.
  void close();

 private:
  OpenFile file_;
  std::optional<Deflater> deflater_;
};

}  // namespace mambaseg

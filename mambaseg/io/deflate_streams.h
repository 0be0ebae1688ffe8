#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

struct inflate_state;
struct isal_zstream;

namespace mambaseg {

// One compressed stream, piece by piece, through ISA-L, which takes an eighth of zlib's time to unpack and a
// twentieth of it to pack.

enum class DeflateFormat { kZlib, kGzip };

/// Unpacks a zlib or gzip stream, whichever its first byte says, and compares its check sum.
class Inflater {
 public:
  enum class State { kMore, kStreamEnd, kDamaged };

  Inflater();
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// Unpacks from the front of `in` to the front of `out`, which become what is left of them (unless they are
  /// damaged). Input that is taken may be held back: with more room in `out` it comes without new input, and
  /// what of it lies behind the stream is given back, so that `in` then begins up to kGivesBack bytes before
  /// where it began: what was taken must still lie in front of it.
  static constexpr size_t kGivesBack = 8;
  State step(std::span<const std::byte>& in, std::span<std::byte>& out);
  /// What follows is another stream.
  void restart();

 private:
  std::unique_ptr<inflate_state> state_;
  bool begun_ = false;
};

/// Packs a stream.
class Deflater {
 public:
  using Sink = std::function<void(std::span<const std::byte> packed)>;

  /// `sink` gets the packed bytes as they come.
  Deflater(DeflateFormat format, Sink sink);
  ~Deflater();
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  void write(std::span<const std::byte> bytes);
  /// Packs what is held back, and the check sum.
  void finish();

 private:
  void pack(std::span<const std::byte> bytes, bool last);

  const Sink sink_;
  std::unique_ptr<std::byte[]> tables_, packed_;
  std::unique_ptr<isal_zstream> stream_;
};

}  // namespace mambaseg

#include "mambaseg/io/packed_bytes.h"

#include <bzlib.h>
#include <zlib.h>

#include <algorithm>
#include <vector>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr size_t kPiece = size_t{1} << 30;  // both libraries count in 32 bits
constexpr int kLevel = 3;  // a third of the time of zlib's default 6; loses a few percent in size
constexpr int kWindow = 15, kGzipToo = 32, kGzipOnly = 16, kMemoryLevel = 8;  // zlib's usual ones

enum class State { kMore, kStreamEnd, kDamaged };

struct Inflater {
  Inflater() { require(inflateInit2(&stream, kWindow + kGzipToo) == Z_OK, "not enough memory"); }
  ~Inflater() { inflateEnd(&stream); }
  State step() {
    const int code = inflate(&stream, Z_NO_FLUSH);
    if (code == Z_STREAM_END) return State::kStreamEnd;
    return code == Z_OK || code == Z_BUF_ERROR ? State::kMore : State::kDamaged;
  }
  void restart() { inflateReset(&stream); }

  z_stream stream{};
};

struct Bunzipper {
  Bunzipper() { start(); }
  ~Bunzipper() { BZ2_bzDecompressEnd(&stream); }
  void start() { require(BZ2_bzDecompressInit(&stream, 0, 0) == BZ_OK, "not enough memory"); }
  State step() {
    const int code = BZ2_bzDecompress(&stream);
    if (code == BZ_STREAM_END) return State::kStreamEnd;
    return code == BZ_OK ? State::kMore : State::kDamaged;
  }
  void restart() {
    BZ2_bzDecompressEnd(&stream);
    start();
  }

  bz_stream stream{};
};

template <class Unpacker>
void unpack(std::span<std::byte> out, const std::string& packed) {
  Unpacker unpacker;
  auto& stream = unpacker.stream;
  size_t given = 0, done = 0;
  State state = State::kMore;
  for (bool stuck = false; !stuck;) {
    if (state == State::kStreamEnd) {
      if (done == out.size() || given == packed.size()) break;
      unpacker.restart();
    }
    const size_t piece_in = std::min(packed.size() - given, kPiece);
    const size_t piece_out = std::min(out.size() - done, kPiece);
    stream.next_in = reinterpret_cast<decltype(stream.next_in)>(const_cast<char*>(packed.data())) + given;
    stream.avail_in = static_cast<unsigned>(piece_in);
    stream.next_out = reinterpret_cast<decltype(stream.next_out)>(out.data()) + done;
    stream.avail_out = static_cast<unsigned>(piece_out);
    state = unpacker.step();
    require(state != State::kDamaged, "the compressed voxel data are damaged");
    const size_t took = piece_in - stream.avail_in, gave = piece_out - stream.avail_out;
    given += took;
    done += gave;
    stuck = state == State::kMore && took == 0 && gave == 0;
  }
  require(state == State::kStreamEnd || done < out.size() || given == packed.size(),
          "the compressed voxel data are longer than the ", out.size(), " bytes that the header announces");
  require(state == State::kStreamEnd && done == out.size(), "the compressed voxel data are cut off: ", done,
          " of ", out.size(), " bytes are there");
}

}  // namespace

void inflate_into(std::span<std::byte> out, const std::string& packed) { unpack<Inflater>(out, packed); }

void bunzip_into(std::span<std::byte> out, const std::string& packed) { unpack<Bunzipper>(out, packed); }

std::string deflated(std::span<const std::byte> bytes, DeflateFormat format) {
  z_stream stream{};
  const int window = kWindow + (format == DeflateFormat::kGzip ? kGzipOnly : 0);
  require(deflateInit2(&stream, kLevel, Z_DEFLATED, window, kMemoryLevel, Z_DEFAULT_STRATEGY) == Z_OK,
          "not enough memory");
  std::string out;
  std::vector<char> piece(1 << 20);
  size_t given = 0;
  for (int code = Z_OK; code != Z_STREAM_END;) {
    const size_t piece_in = std::min(bytes.size() - given, kPiece);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data())) + given;
    stream.avail_in = static_cast<uInt>(piece_in);
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    code = deflate(&stream, given + piece_in == bytes.size() ? Z_FINISH : Z_NO_FLUSH);
    given += piece_in - stream.avail_in;
    out.append(piece.data(), piece.size() - stream.avail_out);
  }
  deflateEnd(&stream);
  return out;
}

}  // namespace mambaseg

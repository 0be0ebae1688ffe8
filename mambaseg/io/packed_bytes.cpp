#include "mambaseg/io/packed_bytes.h"

#include <bzlib.h>

#include <algorithm>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr size_t kPiece = size_t{1} << 30;  // libbz2 counts in 32 bits

using State = Inflater::State;

struct Bunzipper {
  Bunzipper() { start(); }
  ~Bunzipper() { BZ2_bzDecompressEnd(&stream); }
  void start() { require(BZ2_bzDecompressInit(&stream, 0, 0) == BZ_OK, "not enough memory"); }
  void restart() {
    BZ2_bzDecompressEnd(&stream);
    start();
  }
  State step(std::span<const std::byte>& in, std::span<std::byte>& out) {
    const size_t piece_in = std::min(in.size(), kPiece), piece_out = std::min(out.size(), kPiece);
    stream.next_in = reinterpret_cast<char*>(const_cast<std::byte*>(in.data()));
    stream.avail_in = static_cast<unsigned>(piece_in);
    stream.next_out = reinterpret_cast<char*>(out.data());
    stream.avail_out = static_cast<unsigned>(piece_out);
    const int code = BZ2_bzDecompress(&stream);
    in = in.subspan(piece_in - stream.avail_in);
    out = out.subspan(piece_out - stream.avail_out);
    if (code == BZ_STREAM_END) return State::kStreamEnd;
    return code == BZ_OK ? State::kMore : State::kDamaged;
  }

  bz_stream stream{};
};

template <class Unpacker>
void unpack(const std::span<std::byte> out, const std::string& packed) {
  Unpacker unpacker;
  std::span<const std::byte> given = std::as_bytes(std::span(packed));
  std::span<std::byte> room = out;
  State state = State::kMore;
  for (bool stuck = false; !stuck;) {
    if (state == State::kStreamEnd) {
      if (room.empty() || given.empty()) break;
      unpacker.restart();
    }
    const size_t given_before = given.size(), room_before = room.size();
    state = unpacker.step(given, room);
    require(state != State::kDamaged, "the compressed voxel data are damaged");
    stuck = state == State::kMore && given.size() == given_before && room.size() == room_before;
  }
  if (state == State::kMore &&
      room.empty()) {  // all that is wanted came: does more, or the end of the stream?
    std::byte more{};
    std::span<std::byte> room_for_more(&more, 1);
    state = unpacker.step(given, room_for_more);
    require(!room_for_more.empty(), "the compressed voxel data are longer than the ", out.size(),
            " bytes that the header announces");
  }
  require(state == State::kStreamEnd && room.empty(),
          "the compressed voxel data are cut off: ", out.size() - room.size(), " of ", out.size(),
          " bytes are there");
}

}  // namespace

void inflate_into(std::span<std::byte> out, const std::string& packed) { unpack<Inflater>(out, packed); }

void bunzip_into(std::span<std::byte> out, const std::string& packed) { unpack<Bunzipper>(out, packed); }

std::string deflated(std::span<const std::byte> bytes, DeflateFormat format) {
  std::string out;
  Deflater deflater(format, [&out](std::span<const std::byte> packed) {
    out.append(reinterpret_cast<const char*>(packed.data()), packed.size());
  });
  deflater.write(bytes);
  deflater.finish();
  return out;
}

}  // namespace mambaseg

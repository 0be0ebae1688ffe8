#include "mambaseg/io/deflate_streams.h"

#include <isa-l/igzip_lib.h>

#include <algorithm>

namespace mambaseg {
namespace {

constexpr size_t kPiece = size_t{1} << 30;  // ISA-L counts in 32 bits
constexpr size_t kPackedPiece = size_t{1} << 18;
// Level 1 packs labels as small as zlib's level 1 does, images as small as its level 3; levels 2 and 3 gain
// nothing on either.
constexpr uint32_t kLevel = 1, kTableBytes = ISAL_DEF_LVL1_DEFAULT;
constexpr std::byte kGzipStart{0x1f};

uint8_t* bytes_at(const std::byte* at) { return reinterpret_cast<uint8_t*>(const_cast<std::byte*>(at)); }

}  // namespace

Inflater::Inflater() : state_(std::make_unique<inflate_state>()) { restart(); }

Inflater::~Inflater() = default;

void Inflater::restart() {
  isal_inflate_init(state_.get());
  begun_ = false;
}

Inflater::State Inflater::step(std::span<const std::byte>& in, std::span<std::byte>& out) {
  if (!begun_ && !in.empty()) {
    state_->crc_flag = in.front() == kGzipStart ? ISAL_GZIP : ISAL_ZLIB;
    begun_ = true;
  }
  if (!begun_) return State::kMore;
  const size_t piece_in = std::min(in.size(), kPiece), piece_out = std::min(out.size(), kPiece);
  state_->next_in = bytes_at(in.data());
  state_->avail_in = static_cast<uint32_t>(piece_in);
  state_->next_out = bytes_at(out.data());
  state_->avail_out = static_cast<uint32_t>(piece_out);
  const int code = isal_inflate(state_.get());
  if (code < 0 || code == ISAL_NEED_DICT) return State::kDamaged;
  const std::ptrdiff_t taken = state_->next_in - bytes_at(in.data());
  if (taken < -static_cast<std::ptrdiff_t>(kGivesBack)) return State::kDamaged;
  in = {in.data() + taken, static_cast<size_t>(static_cast<std::ptrdiff_t>(in.size()) - taken)};
  out = out.subspan(piece_out - state_->avail_out);
  return state_->block_state == ISAL_BLOCK_FINISH ? State::kStreamEnd : State::kMore;
}

Deflater::Deflater(DeflateFormat format, Sink sink)
    : sink_(std::move(sink)),
      tables_(std::make_unique_for_overwrite<std::byte[]>(kTableBytes)),
      packed_(std::make_unique_for_overwrite<std::byte[]>(kPackedPiece)),
      stream_(std::make_unique<isal_zstream>()) {
  isal_deflate_init(stream_.get());
  stream_->level = kLevel;
  stream_->level_buf = bytes_at(tables_.get());
  stream_->level_buf_size = kTableBytes;
  stream_->gzip_flag = format == DeflateFormat::kGzip ? IGZIP_GZIP : IGZIP_ZLIB;
}

Deflater::~Deflater() = default;

void Deflater::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const size_t piece = std::min(bytes.size(), kPiece);
    pack(bytes.first(piece), /*last=*/false);
    bytes = bytes.subspan(piece);
  }
}

void Deflater::finish() { pack({}, /*last=*/true); }

void Deflater::pack(std::span<const std::byte> bytes, bool last) {
  stream_->end_of_stream = last;
  stream_->next_in = bytes_at(bytes.data());
  stream_->avail_in = static_cast<uint32_t>(bytes.size());
  do {
    stream_->next_out = bytes_at(packed_.get());
    stream_->avail_out = kPackedPiece;
    isal_deflate(stream_.get());
    sink_({packed_.get(), kPackedPiece - stream_->avail_out});
  } while (stream_->avail_out == 0);
}

}  // namespace mambaseg

#include "mambaseg/io/byte_file.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "mambaseg/core/error.h"
#include "mambaseg/io/packed_bytes.h"

namespace mambaseg {
namespace {

constexpr size_t kRestPiece = size_t{1} << 20;
constexpr size_t kBuffer = size_t{1} << 18;

bool starts_as_gzip(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

}  // namespace

ByteReader::ByteReader(const std::string& path)
    : file_(path, O_RDONLY),
      buffer_(std::make_unique<std::byte[]>(Inflater::kGivesBack + kBuffer)),
      waiting_(buffer_.get() + Inflater::kGivesBack, 0) {
  std::error_code failed;
  const auto size = std::filesystem::file_size(path, failed);
  packed_size_ = failed ? SIZE_MAX : static_cast<size_t>(size);
  fill(2);
  if (starts_as_gzip(waiting_)) inflater_ = std::make_unique<Inflater>();
}

void ByteReader::fill(size_t least) {
  if (waiting_.size() >= least) return;
  // What was taken last stays in front of what waits: the inflater may give it back.
  constexpr size_t kTaken = Inflater::kGivesBack;
  const size_t taken = std::min(kTaken, static_cast<size_t>(waiting_.data() - buffer_.get()));
  std::byte* const begin = buffer_.get() + kTaken;
  std::memmove(begin - taken, waiting_.data() - taken, taken + waiting_.size());
  size_t there = waiting_.size();
  while (there < least) {
    const size_t got = file_.read_some(begin + there, kBuffer - there);
    if (got == 0) break;
    there += got;
  }
  waiting_ = {begin, there};
}

size_t ByteReader::read_plain(std::span<std::byte> out) {
  size_t done = std::min(out.size(), waiting_.size());
  std::ranges::copy(waiting_.first(done), out.begin());
  waiting_ = waiting_.subspan(done);
  while (done < out.size()) {
    if (out.size() - done < kBuffer) {  // short pieces come through the buffer
      fill(1);
      if (waiting_.empty()) break;
      return done + read_plain(out.subspan(done));
    }
    const size_t got = file_.read_some(out.data() + done, out.size() - done);
    if (got == 0) break;
    done += got;
  }
  return done;
}

size_t ByteReader::unpack(std::span<std::byte> out) {
  const size_t wanted = out.size();
  while (!out.empty()) {
    fill(in_stream_ ? 1 : 2);
    if (!in_stream_) {
      if (!starts_as_gzip(waiting_)) break;
      inflater_->restart();
      in_stream_ = true;
    }
    const bool ended = waiting_.empty();
    const size_t left = out.size();
    const Inflater::State state = inflater_->step(waiting_, out);
    require(state != Inflater::State::kDamaged, "the gzip data are damaged");
    in_stream_ = state != Inflater::State::kStreamEnd;
    cut_off_ = in_stream_ && ended && out.size() == left;
    if (cut_off_) break;
  }
  return wanted - out.size();
}

size_t ByteReader::read_some(void* bytes, size_t count) {
  const std::span out(static_cast<std::byte*>(bytes), count);
  return is_plain() ? read_plain(out) : unpack(out);
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

void ByteReader::expect(size_t count, const std::string& what) const {
  const size_t growth = is_plain() ? 1 : kDeflateLimit;
  require(packed_size_ == SIZE_MAX || count / growth <= packed_size_, what, " is cut off: ", count,
          " bytes were announced, the file has ", packed_size_);
}

void ByteReader::finish() {
  const auto rest = std::make_unique_for_overwrite<std::byte[]>(kBuffer);
  while (read_some(rest.get(), kBuffer) == kBuffer) {
  }
  require(!cut_off_, "the gzip data are cut off");
}

ByteWriter::ByteWriter(const std::string& path, Packing packing) : file_(path, O_WRONLY | O_CREAT | O_TRUNC) {
  if (packing == Packing::kGzip)
    deflater_.emplace(DeflateFormat::kGzip, [this](std::span<const std::byte> packed) {
      file_.write(packed.data(), packed.size());
    });
}

void ByteWriter::write(const void* bytes, size_t count) {
  if (deflater_)
    deflater_->write({static_cast<const std::byte*>(bytes), count});
  else
    file_.write(bytes, count);
}

void ByteWriter::close() {
  if (deflater_) deflater_->finish();
  file_.close();
}

}  // namespace mambaseg

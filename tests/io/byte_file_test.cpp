// Files that are packed in every way that gzip allows, and what is wrong with some.
#include "mambaseg/io/byte_file.h"

#include <zlib.h>

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/io/packed_bytes.h"
#include "tests/io/temporary_folder.h"
#include "tests/io/test_images.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

/// Runs, single bytes and noise, so that every kind of deflate block and match is made of it.
std::string content(size_t size) {
  std::mt19937 random(7);
  std::string bytes;
  while (bytes.size() < size) {
    const auto c = static_cast<char>(random());
    bytes.append(random() % 50 == 0 ? random() % 500 : 1, c);
  }
  bytes.resize(size);
  return bytes;
}

std::string gzip(const std::string& bytes) {
  return deflated(std::as_bytes(std::span(bytes)), DeflateFormat::kGzip);
}

/// A gzip stream of zlib's, whose header may hold a file name, a comment, an extra field and a check sum.
std::string gzip_of_zlib(std::string bytes, int level, bool long_header) {
  z_stream stream{};
  deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string name = "brain.nii", comment = "of bgzip", extra = std::string("BC\2\0\x1b\0", 6);
  gz_header header{};
  header.name = reinterpret_cast<Bytef*>(name.data());
  header.comment = reinterpret_cast<Bytef*>(comment.data());
  header.extra = reinterpret_cast<Bytef*>(extra.data());
  header.extra_len = static_cast<uInt>(extra.size());
  header.hcrc = 1;
  if (long_header) deflateSetHeader(&stream, &header);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

class PackedFile : public testing::Test {
 protected:
  /// What a reader gives that takes the file in pieces of so many bytes.
  std::string read_in_pieces(const std::string& packed, size_t piece) {
    write_bytes(path_, packed);
    ByteReader file(path_);
    std::string out, bytes(piece, '\0');
    for (size_t got = piece; got == piece;) {
      got = file.read_some(bytes.data(), piece);
      out.append(bytes, 0, got);
    }
    file.finish();
    return out;
  }
  std::string read(const std::string& packed) { return read_in_pieces(packed, 1 << 20); }

  TemporaryFolder folder_;
  const std::string path_ = folder_ / "packed";
  const std::string bytes_ = content(3'000'000);
};

TEST_F(PackedFile, IsReadInPiecesOfAnySize) {
  const std::string start = bytes_.substr(0, 40'000);
  for (const std::string& packed : {start, gzip(start), gzip_of_zlib(start, 9, true)})
    for (const size_t piece : {1, 7, 4096, 1 << 20}) EXPECT_TRUE(read_in_pieces(packed, piece) == start);
  for (const std::string& packed : {bytes_, gzip(bytes_)})  // longer than the reader's buffer
    for (const size_t piece : {4099, 300'000, 10'000'000})
      EXPECT_TRUE(read_in_pieces(packed, piece) == bytes_);
}

TEST_F(PackedFile, OfZlibAtEveryLevelIsRead) {
  for (const int level : {0, 1, 6, 9}) EXPECT_TRUE(read(gzip_of_zlib(bytes_, level, level == 1)) == bytes_);
}

TEST_F(PackedFile, IsReadByZlib) {
  ByteWriter file(path_, ByteWriter::Packing::kGzip);
  file.write(bytes_.data(), 348);
  file.write(bytes_.data() + 348, bytes_.size() - 348);
  file.close();
  gzFile reader = gzopen(path_.c_str(), "rb");
  std::string read(bytes_.size() + 1, '\0');
  EXPECT_EQ(gzread(reader, read.data(), static_cast<unsigned>(read.size())), static_cast<int>(bytes_.size()));
  EXPECT_EQ(gzclose(reader), Z_OK);  // with the right check sum
  read.resize(bytes_.size());
  EXPECT_TRUE(read == bytes_);
}

TEST_F(PackedFile, MayHaveSeveralStreams) {
  std::string blocks;  // as bgzip has them, the last one empty
  for (size_t at = 0; at < bytes_.size(); at += 65'280)
    blocks += gzip_of_zlib(bytes_.substr(at, 65'280), 6, true);
  blocks += gzip("");
  EXPECT_TRUE(read(blocks) == bytes_);
  EXPECT_TRUE(read_in_pieces(blocks, 4099) == bytes_);
  std::string many;  // shorter than what an unpacker looks ahead
  for (const char c : bytes_.substr(0, 3000)) many += gzip(std::string(1, c));
  EXPECT_TRUE(read(many) == bytes_.substr(0, 3000));
}

TEST_F(PackedFile, MayHaveStreamsThatEndWhereTheReadersBufferEnds) {
  // A first stream of stored noise, so that the second one ends from 20 bytes before that place to 20 behind.
  std::mt19937 random(3);
  std::string noise(270'000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  const size_t second = gzip("xy").size();
  for (size_t end = (size_t{1} << 18) - 20; end < (size_t{1} << 18) + 20; ++end) {
    size_t size = end - second - 100;
    while (gzip_of_zlib(noise.substr(0, size), 0, false).size() + second < end) ++size;
    const std::string first = noise.substr(0, size);
    const std::string packed = gzip_of_zlib(first, 0, false) + gzip("xy") + gzip("z");
    for (const size_t piece : {size_t{1} << 20, first.size() + 1})
      EXPECT_TRUE(read_in_pieces(packed, piece) == first + "xyz") << end << " in pieces of " << piece;
  }
}

TEST_F(PackedFile, MayBeFollowedByOtherBytes) {
  const std::string packed = gzip(bytes_);
  for (const std::string& rest : {std::string(1, '\x1f'), std::string(512, '\0'), std::string("signature")})
    EXPECT_TRUE(read(packed + rest) == bytes_) << rest;
}

TEST_F(PackedFile, CutOffAnywhereIsRefused) {
  const std::string start = bytes_.substr(0, 500), packed = gzip(start);
  for (size_t size = 2; size < packed.size(); ++size) {
    EXPECT_EQ(error_of([&] { read(packed.substr(0, size)); }), "the gzip data are cut off") << size;
    EXPECT_EQ(error_of([&] { read(packed + packed.substr(0, size)); }), "the gzip data are cut off") << size;
  }
  write_bytes(path_, packed.substr(0, packed.size() - 20));
  std::string room(start.size(), '\0');
  EXPECT_THAT(error_of([&] { ByteReader(path_).read(room.data(), room.size(), "the voxel data"); }),
              HasSubstr("of 500 bytes are there"));
}

TEST_F(PackedFile, DamagedIsRefused) {
  const std::string packed = gzip(bytes_);
  for (size_t behind = 1; behind <= 8; ++behind) {  // the check sum and the size
    std::string damaged = packed;
    damaged[damaged.size() - behind] ^= 1;
    EXPECT_EQ(error_of([&] { read(damaged); }), "the gzip data are damaged") << behind;
  }
  std::string other_method = packed;
  other_method[2] = 7;
  EXPECT_EQ(error_of([&] { read(other_method); }), "the gzip data are damaged");
}

TEST_F(PackedFile, AFolderIsNoFile) {
  EXPECT_EQ(error_of([&] { ByteReader reader(folder_.string()); }), "Is a directory");
  EXPECT_EQ(error_of([&] { ByteReader reader(folder_ / "gone"); }), "No such file or directory");
}

TEST(PackedBytes, HaveToFillWhatTheyAreFor) {
  const std::string bytes = content(70'000);
  for (const DeflateFormat format : {DeflateFormat::kZlib, DeflateFormat::kGzip}) {
    const std::string packed = deflated(std::as_bytes(std::span(bytes)), format);
    std::string out(bytes.size(), '\0');
    inflate_into(std::as_writable_bytes(std::span(out)), packed);
    EXPECT_TRUE(out == bytes);
    inflate_into(std::as_writable_bytes(std::span(out)), packed + "what follows");
    const auto refusal = [&](size_t size, const std::string& given) {
      std::string room(size, '\0');
      return error_of([&] { inflate_into(std::as_writable_bytes(std::span(room)), given); });
    };
    for (const size_t more : {1, 4, 1000, 69'000})
      EXPECT_THAT(refusal(bytes.size() - more, packed), HasSubstr("longer than the ")) << more;
    EXPECT_THAT(refusal(bytes.size() + 1, packed), HasSubstr("70000 of 70001 bytes are there"));
    for (const size_t less : {1, 4, 1000})
      EXPECT_THAT(refusal(bytes.size(), packed.substr(0, packed.size() - less)), HasSubstr("cut off"))
          << less;
  }
}

}  // namespace
}  // namespace mambaseg

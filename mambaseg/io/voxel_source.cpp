#include "mambaseg/io/voxel_source.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <charconv>
#include <filesystem>

#include "mambaseg/core/error.h"
#include "mambaseg/io/formats.h"
#include "mambaseg/io/packed_bytes.h"

namespace mambaseg {
namespace {

using Encoding = VoxelSource::Encoding;

constexpr int64_t kMostFiles = 100'000, kLargestNumber = 1'000'000'000;  // of files that a header numbers

/// Numbers between blanks and commas.
template <class T>
void read_numbers(const std::string& text, std::span<T> out) {
  const char *at = text.data(), *end = at + text.size();
  for (size_t i = 0; i < out.size(); ++i) {
    at = std::find_if(at, end, [](unsigned char c) { return !std::isspace(c) && c != ',' && c != '+'; });
    require(at != end, "the voxel data are cut off: ", i, " of ", out.size(), " numbers are there");
    const auto [stop, failed] = std::from_chars(at, end, out[i]);
    require(failed == std::errc(), "\"", std::string(at, std::min(end, at + 20)),
            "\" is no voxel value of the type that the header names");
    at = stop;
  }
}

void read_hex(const std::string& text, std::span<std::byte> out) {
  std::string digits;
  std::copy_if(text.begin(), text.end(), std::back_inserter(digits),
               [](unsigned char c) { return std::isxdigit(c); });
  require(digits.size() >= 2 * out.size(), "the voxel data are cut off: ", digits.size() / 2, " of ",
          out.size(), " bytes are there");
  for (size_t i = 0; i < out.size(); ++i)
    std::from_chars(&digits[2 * i], &digits[2 * i] + 2, reinterpret_cast<uint8_t&>(out[i]), 16);
}

void skip_lines(ByteReader& file, int64_t lines) {
  char c = 0;
  for (int64_t line = 0; line < lines;) {
    require(file.read_some(&c, 1) == 1, "the header says to skip ", lines, " lines; the file has ", line);
    line += c == '\n';
  }
}

template <class Unpack>
void unpack(Unpack unpack_into, std::span<std::byte> out, const std::string& packed, int64_t skipped) {
  if (skipped == 0) return unpack_into(out, packed);
  std::string whole(static_cast<size_t>(skipped) + out.size(), '\0');
  unpack_into(std::as_writable_bytes(std::span(whole)), packed);
  std::ranges::copy(std::as_bytes(std::span(whole)).last(out.size()), out.begin());
}

/// Fills `out`, a part of `voxels` that begins with voxel `first`, from where `file` stands.
void read_share(const VoxelSource& source, ByteReader& file, VoxelData& voxels, size_t first, size_t count) {
  std::visit(
      [&](auto& all) {
        const std::span values = std::span(all).subspan(first, count);
        const std::span<std::byte> out = std::as_writable_bytes(values);
        skip_lines(file, source.skipped_lines);
        Encoding encoding = source.encoding;
        if (encoding == Encoding::kDeflated && !source.files.empty() && !file.is_plain())
          encoding = Encoding::kRaw;  // the reader unpacks whole gzip files
        const int64_t skipped = source.skipped_bytes;
        switch (encoding) {
          case Encoding::kDeflated:
            return unpack(inflate_into, out, file.read_rest(), skipped);
          case Encoding::kBzip2:
            return unpack(bunzip_into, out, file.read_rest(), skipped);
          default:
            file.skip(static_cast<size_t>(skipped), "the part before the voxel data");
        }
        if (encoding == Encoding::kText) return read_numbers(file.read_rest(), values);
        if (encoding == Encoding::kHex) return read_hex(file.read_rest(), out);
        file.read(out.data(), out.size(), "the voxel data");
        if (!file.is_plain()) file.finish();
      },
      voxels);
}

/// Throws Error when `bytes` of voxels cannot come out of what is left of `file`.
void expect(ByteReader& file, Encoding encoding, size_t bytes) {
  const auto least = [&]() -> size_t {
    switch (encoding) {
      case Encoding::kDeflated:
        return bytes / kDeflateLimit;
      case Encoding::kBzip2:
        return bytes / kBzip2Limit;
      case Encoding::kText:
        return bytes / sizeof(double);  // a digit at least for each number
      default:
        return bytes;
    }
  };
  file.expect(least(), "the voxel data");
}

}  // namespace

VoxelData read_voxels(const VoxelSource& source, ByteReader& header, size_t type, size_t count) {
  const size_t value_bytes = bytes_of(voxels_of_type(type, 1)).size();
  const size_t shares = std::max<size_t>(1, source.files.size());
  require(count % shares == 0, "the ", count, " voxels are no whole share for each of the ", shares,
          " files that the header names");
  require(source.skipped_lines >= 0 && source.skipped_bytes >= -1 && source.skipped_bytes < 1ll << 40,
          "the header says to skip ", source.skipped_lines, " lines and ", source.skipped_bytes, " bytes");
  const size_t share = count / shares;
  VoxelData voxels;
  if (source.files.empty()) {
    expect(header, source.encoding, count * value_bytes);
    voxels = voxels_of_type(type, count);
    read_share(source, header, voxels, 0, count);
  }
  const auto for_each_file = [&](const auto& action) {
    for (size_t i = 0; i < source.files.size(); ++i) {
      const std::filesystem::path path(source.files[i]);
      with_context("its file with voxels, " + path.filename().string(), [&] { action(path, i * share); });
    }
  };
  for_each_file([&](const std::filesystem::path& path, size_t) {  // before memory is taken
    std::error_code failed;                                       // a name that cannot be
    require(std::filesystem::is_regular_file(path, failed), "there is no such file in ",
            path.has_parent_path() ? path.parent_path().string() : "this folder");
    ByteReader file(path.string());
    expect(file, source.encoding, share * value_bytes);
  });
  if (!source.files.empty()) voxels = voxels_of_type(type, count);
  for_each_file([&](const std::filesystem::path& path, size_t first) {
    VoxelSource here = source;
    if (source.skipped_bytes < 0) {
      const auto size = std::filesystem::file_size(path);
      require(source.encoding == Encoding::kRaw && size >= share * value_bytes, "it has ", size,
              " bytes, of which the last ", share * value_bytes, " should be voxels");
      here.skipped_bytes = static_cast<int64_t>(size - share * value_bytes);
    }
    ByteReader file(path.string());
    read_share(here, file, voxels, first, share);
  });
  const bool written_as_bytes = source.encoding != Encoding::kText;
  if (written_as_bytes && source.big_endian != (std::endian::native == std::endian::big))
    swap_bytes(bytes_of(voxels), value_bytes);
  return voxels;
}

std::vector<std::string> numbered_files(const std::string& header_path, const std::string& pattern,
                                        int64_t first, int64_t last, int64_t step) {
  const auto wrong = [&] {
    return concat("the header numbers the files of its voxels in a way that is not understood: \"", pattern,
                  " ", first, " ", last, " ", step, "\"");
  };
  const size_t percent = pattern.find('%'), d = pattern.find('d', percent);
  require(percent != std::string::npos && d != std::string::npos &&
              pattern.find('%', d) == std::string::npos &&
              std::max(std::abs(first), std::abs(last)) < kLargestNumber && step != 0 &&
              (last - first) / step >= 0 && (last - first) / step < kMostFiles,
          wrong());
  const std::string width = pattern.substr(percent + 1, d - percent - 1);
  require(width.size() <= 2 &&
              std::all_of(width.begin(), width.end(), [](char c) { return c >= '0' && c <= '9'; }),
          wrong());
  const size_t digits = width.empty() ? 0 : static_cast<size_t>(width.back() - '0');
  const char filler = width.starts_with('0') ? '0' : ' ';
  std::vector<std::string> files;
  for (int64_t n = first; step > 0 ? n <= last : n >= last; n += step) {
    std::string number = std::to_string(n);
    if (number.size() < digits) number.insert(0, digits - number.size(), filler);
    files.push_back(beside_header(header_path, pattern.substr(0, percent) + number + pattern.substr(d + 1)));
  }
  return files;
}

std::string beside_header(const std::string& header_path, const std::string& name) {
  return (std::filesystem::path(header_path).parent_path() / name).string();
}

}  // namespace mambaseg

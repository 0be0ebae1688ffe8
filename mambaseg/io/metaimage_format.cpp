// MetaImage: a text header "Key = Value" and the voxels, in one file (.mha) or two (.mhd and what it names).
// Read here and not through ITK, whose MetaIO takes a file that is cut off for a whole one and prints to
// stderr. Layout: https://itk.org/Wiki/ITK/MetaIO/Documentation

#include <algorithm>
#include <bit>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <sstream>

#include "mambaseg/core/error.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/byte_file.h"
#include "mambaseg/io/formats.h"
#include "mambaseg/io/packed_bytes.h"
#include "mambaseg/io/voxel_source.h"

namespace mambaseg {
namespace {

constexpr size_t kLongestLine = 1 << 16;

/// MetaIO's "long" has 4 bytes on every machine.
constexpr std::array<std::pair<const char*, size_t>, 12> kTypes{{{"MET_UCHAR", 0},
                                                                 {"MET_CHAR", 1},
                                                                 {"MET_USHORT", 2},
                                                                 {"MET_SHORT", 3},
                                                                 {"MET_UINT", 4},
                                                                 {"MET_INT", 5},
                                                                 {"MET_ULONG_LONG", 6},
                                                                 {"MET_LONG_LONG", 7},
                                                                 {"MET_FLOAT", 8},
                                                                 {"MET_DOUBLE", 9},
                                                                 {"MET_ULONG", 4},
                                                                 {"MET_LONG", 5}}};

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

class Header {
 public:
  /// Reads lines up to ElementDataFile, after which voxels or a list of files follow.
  explicit Header(ByteReader& file) {
    while (fields_.count("ElementDataFile") == 0) {
      std::string line;
      char c = 0;
      while (file.read_some(&c, 1) == 1 && c != '\n') {
        line += c;
        require(line.size() < kLongestLine, "this is not a MetaImage file");
      }
      const size_t equals = line.find('=');
      require(equals != std::string::npos || (c == '\n' && trimmed(line).empty()),
              fields_.empty() ? "this is not a MetaImage file"
                              : "the header is cut off: it does not say where the voxels are");
      if (equals != std::string::npos)
        fields_[trimmed(line.substr(0, equals))] = trimmed(line.substr(equals + 1));
    }
  }

  /// The value of the first of `keys` that is there, or "".
  std::string text(std::initializer_list<const char*> keys) const {
    for (const char* key : keys)
      if (const auto found = fields_.find(key); found != fields_.end()) return found->second;
    return "";
  }
  bool is_true(std::initializer_list<const char*> keys) const {
    const std::string value = text(keys);
    return !value.empty() && (value[0] == 'T' || value[0] == 't' || value[0] == '1');  // as MetaIO has it
  }
  /// The numbers of a field; `fallback` when it is not there. Throws Error unless there are as many as in
  /// `fallback`.
  std::vector<double> numbers(std::initializer_list<const char*> keys, std::vector<double> fallback) const {
    const std::string value = text(keys);
    if (value.empty()) return fallback;
    std::istringstream in(value);
    std::vector<double> out;
    for (double number = 0; in >> number;) out.push_back(number);
    require(out.size() == fallback.size() && in.eof(), "expected ", fallback.size(), " numbers in \"",
            *keys.begin(), " = ", value, "\"");
    return out;
  }

 private:
  std::map<std::string, std::string> fields_;
};

Geometry geometry_of(const Header& header, const Warn& warn) {
  const double axes_given = header.numbers({"NDims"}, {3})[0];
  require(axes_given >= 1 && axes_given <= 10, "the header announces ", axes_given, " axes");
  const auto axes = static_cast<size_t>(axes_given);
  std::vector<int64_t> sizes;
  for (const double n : header.numbers({"DimSize"}, std::vector<double>(axes, 0)))
    sizes.push_back(n > 0 && n < 1e15 ? static_cast<int64_t>(n) : 0);
  checked_voxel_count(sizes);
  std::vector<double> identity(axes * axes, 0);
  for (size_t axis = 0; axis < axes; ++axis) identity[axis * (axes + 1)] = 1;
  const std::string unit = header.text({"DistanceUnits"});
  const std::optional<double> known_mm = mm_of_unit(unit == "?" ? "" : unit);
  if (!known_mm && warn) warn(concat("DistanceUnits = ", unit, " is not known; mm are taken"));
  const double mm = known_mm.value_or(1);
  const auto spacing = header.numbers({"ElementSpacing", "ElementSize"}, std::vector<double>(axes, 1));
  const auto offset = header.numbers({"Offset", "Position", "Origin"}, std::vector<double>(axes, 0));
  const auto directions =
      header.numbers({"TransformMatrix", "Orientation", "Rotation"}, identity);  // a row an axis

  Geometry out;
  out.size = {1, 1, 1};
  for (size_t axis = 0; axis < 3; ++axis) {
    const bool there = axis < axes;
    if (there) out.size[axis] = sizes[axis];
    const double sign = axis < 2 ? -1 : 1;  // the file speaks of mm to the Left, Posterior and Superior
    out.voxel_to_ras_mm.offset[axis] = there ? 0.0 + sign * offset[axis] * mm : 0;
    for (size_t column = 0; column < 3; ++column) {
      const bool given = there && column < axes;
      const double value =
          given ? directions[column * axes + axis] * spacing[column] * mm : (axis == column ? 1 : 0);
      out.voxel_to_ras_mm.matrix[axis][column] = 0.0 + sign * value;
    }
  }
  return out;
}

/// Where the voxels are; lines of a list of files are read from `file`.
VoxelSource source_of(const Header& header, const std::string& path, ByteReader& file) {
  using Encoding = VoxelSource::Encoding;
  VoxelSource out;
  if (header.is_true({"CompressedData"})) out.encoding = Encoding::kDeflated;
  if (!header.text({"BinaryData"}).empty() && !header.is_true({"BinaryData"})) out.encoding = Encoding::kText;
  out.big_endian = header.is_true({"BinaryDataByteOrderMSB", "ElementByteOrderMSB"});
  const std::string where = header.text({"ElementDataFile"});
  if (where == "LOCAL" || where == "Local" || where == "local") return out;
  const double skipped = header.numbers({"HeaderSize"}, {0})[0];
  require(skipped >= -1 && skipped < 1e12, "the header says to skip ", skipped, " bytes");
  out.skipped_bytes = static_cast<int64_t>(skipped);
  std::istringstream words(where);
  std::string pattern;
  int64_t first = 0, last = 0, step = 1;
  words >> pattern;
  if (pattern == "LIST") {
    std::istringstream lines(file.read_rest());
    for (std::string line; std::getline(lines, line);)
      if (!trimmed(line).empty()) out.files.push_back(beside_header(path, trimmed(line)));
    require(!out.files.empty(), "the header lists no file with voxels");
  } else if (pattern.find('%') != std::string::npos && words >> first >> last) {
    words >> step;
    out.files = numbered_files(path, pattern, first, last, words ? step : 1);
  } else {
    out.files = {beside_header(path, where)};
  }
  return out;
}

}  // namespace

Image read_metaimage(const std::string& path, Part part, const Warn& warn) {
  ByteReader file(path);
  const Header header(file);
  const std::string object = header.text({"ObjectType"});
  require(object.empty() || object == "Image", "the file holds an object of type ", object,
          "; expected Image");
  Image image;
  image.geometry = geometry_of(header, warn);
  const double channels = header.numbers({"ElementNumberOfChannels"}, {1})[0];
  require(channels == 1, "the voxels have ", channels, " channels; expected one number a voxel");
  if (warn && header.text({"TransformMatrix", "Orientation", "Rotation"}).empty())
    warn(
        "the header has no TransformMatrix, which says where the axes run; left, posterior and superior are "
        "taken");
  const std::string type_name = header.text({"ElementType"});
  const auto type =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& t) { return type_name == t.first; });
  require(type != kTypes.end(), "voxels of type \"", type_name, "\" are not read");
  if (part == Part::kGeometry) return image;

  const VoxelSource source = source_of(header, path, file);
  image.voxels = read_voxels(source, file, type->second, static_cast<size_t>(image.geometry.voxel_count()));
  return image;
}

void write_metaimage(const std::string& path, const Image& image) {
  const bool pair = format_of_name(path)->endings.front() == ".mhd";
  const Vector3 spacing = image.geometry.spacing_mm();
  const Affine& affine = image.geometry.voxel_to_ras_mm;
  std::ostringstream text;
  text.precision(std::numeric_limits<double>::max_digits10);
  text << "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = "
       << (std::endian::native == std::endian::big ? "True" : "False") << "\nCompressedData = True\n";
  const std::string packed = deflated(bytes_of(image.voxels), DeflateFormat::kZlib);
  text << "CompressedDataSize = " << packed.size() << "\nTransformMatrix =";
  for (int axis = 0; axis < 3; ++axis)
    for (int row = 0; row < 3; ++row)
      text << ' ' << 0.0 + (row < 2 ? -1 : 1) * affine.matrix[row][axis] / spacing[axis];
  text << "\nOffset = " << 0.0 - affine.offset[0] << ' ' << 0.0 - affine.offset[1] << ' ' << affine.offset[2];
  text << "\nCenterOfRotation = 0 0 0\nElementSpacing = " << spacing[0] << ' ' << spacing[1] << ' '
       << spacing[2];
  const Index3& n = image.geometry.size;
  text << "\nDimSize = " << n[0] << ' ' << n[1] << ' ' << n[2];
  text << "\nElementType = " << kTypes[image.voxels.index()].first << "\nElementDataFile = ";
  if (!pair) {
    write_file_atomically(path, text.str() + "LOCAL\n" + packed);
    return;
  }
  const std::filesystem::path voxel_path = std::filesystem::path(path).replace_extension(".zraw");
  const std::string header = text.str() + voxel_path.filename().string() + "\n";
  write_pair_atomically({voxel_path.string(), writer_of(packed)}, {path, writer_of(header)});
}

}  // namespace mambaseg

// NRRD: lines "field: value" and, behind an empty line or in files that the header names, the voxels.
// Read here and not through ITK, whose reader turns files in left-anterior-superior space by 180 degrees,
// takes no notice of units, and does not see that the check sum is gone. Layout:
// https://teem.sourceforge.net/nrrd/format.html

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
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

constexpr size_t kLongestLine = 1 << 20, kMostLines = 100'000, kMostAxes = 16;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();  // what is unknown of an axis

/// In the order of VoxelData; the first is the one that is written. Blanks between words do not count.
const std::array<std::vector<const char*>, 10> kTypes{{
    {"unsigned char", "uchar", "uint8", "uint8_t"},
    {"signed char", "int8", "int8_t"},
    {"unsigned short", "ushort", "unsigned short int", "uint16", "uint16_t"},
    {"short", "short int", "signed short", "signed short int", "int16", "int16_t"},
    {"unsigned int", "uint", "uint32", "uint32_t"},
    {"int", "signed int", "int32", "int32_t"},
    {"unsigned long long int", "ulonglong", "unsigned long long", "uint64", "uint64_t"},
    {"long long int", "longlong", "long long", "signed long long", "signed long long int", "int64",
     "int64_t"},
    {"float"},
    {"double"},
}};

/// In small letters and without blanks, in which NRRD's words are compared.
std::string plain(const std::string& text) {
  std::string out;
  for (const char c : text)
    if (c != ' ' && c != '\t') out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// A number of a header, "nan" among them.
double number_of(const std::string& word, const char* field) {
  double value = kNone;
  const char *first = word.data() + (word.starts_with('+') ? 1 : 0), *last = word.data() + word.size();
  const auto [stop, failed] = std::from_chars(first, last, value);
  require(failed == std::errc() && stop == last, "expected a number in \"", field, "\", got \"", word, "\"");
  return value;
}

class Header {
 public:
  /// Reads up to the empty line or, where the voxels lie in other files, the end.
  explicit Header(ByteReader& file) {
    std::string line;
    require(next_line(file, line) && line.starts_with("NRRD000"), "this is not an NRRD file");
    for (size_t lines = 0; next_line(file, line) && (!line.empty() || has_file_list()); ++lines) {
      require(lines < kMostLines, "the header is too long");
      if (has_file_list()) {
        if (!line.empty()) listed_files.push_back(line);
        continue;
      }
      const size_t colon = line.find(':');
      if (line.starts_with('#') || colon == std::string::npos || line.compare(colon, 2, ":=") == 0) continue;
      std::string field = plain(line.substr(0, colon));
      if (field == "centerings") field = "centers";
      fields_[field] = trimmed(line.substr(colon + 1));
    }
  }

  /// The value of a field, whose name is given without blanks, or "".
  std::string text(const std::string& field) const {
    const auto found = fields_.find(field);
    return found == fields_.end() ? "" : found->second;
  }
  /// Values between blanks, of which quoted and bracketed ones may hold blanks; none when the field is not
  /// there, else `count`.
  std::vector<std::string> words(const char* field, size_t count) const {
    const std::string value = text(field);
    std::vector<std::string> out;
    for (size_t at = 0; (at = value.find_first_not_of(" \t", at)) != std::string::npos;) {
      const char* ends = value[at] == '"' ? "\"" : value[at] == '(' ? ")" : " \t";
      const bool enclosed = *ends != ' ';
      const size_t end = std::min(value.size(), value.find_first_of(ends, at + 1));
      out.push_back(value.substr(at + enclosed, end - at - enclosed));
      at = std::min(value.size(), end + 1);
    }
    require(out.empty() || out.size() == count, "expected ", count, " values in \"", field, ": ", value,
            "\"");
    return out;
  }
  std::vector<double> numbers(const char* field, size_t count) const {
    std::vector<double> out;
    for (const std::string& word : words(field, count)) out.push_back(number_of(word, field));
    return out;
  }
  int64_t whole(const char* field, int64_t fallback) const {
    const std::vector<double> value = numbers(field, 1);
    if (value.empty()) return fallback;
    require(std::abs(value[0]) < 1e15 && value[0] == std::floor(value[0]), "expected a whole number in \"",
            field, ": ", text(field), "\"");
    return static_cast<int64_t>(value[0]);
  }

  std::vector<std::string> listed_files;  ///< of "data file: LIST"

 private:
  static bool next_line(ByteReader& file, std::string& line) {
    line.clear();
    char c = 0;
    size_t got = 0;
    while ((got = file.read_some(&c, 1)) == 1 && c != '\n') {
      line += c;
      require(line.size() < kLongestLine, "this is not an NRRD file, or a line of its header is too long");
    }
    line = trimmed(line);
    return got == 1 || !line.empty();
  }
  bool has_file_list() const { return text("datafile").starts_with("LIST"); }

  std::map<std::string, std::string> fields_;
};

/// An axis of the array.
struct Axis {
  int64_t size = 0;
  std::string kind;
  std::vector<double> direction;  ///< empty: none
  double spacing = kNone, minimum = kNone, maximum = kNone;
  bool cell_centred = true;
  std::string unit;
};

std::vector<Axis> axes_of(const Header& header) {
  const int64_t count = header.whole("dimension", 0);
  require(count >= 1 && count <= static_cast<int64_t>(kMostAxes), "the header announces ", count, " axes");
  std::vector<Axis> axes(static_cast<size_t>(count));
  const auto fill = [&axes](const auto& values, auto set) {
    for (size_t a = 0; a < values.size(); ++a) set(axes[a], values[a]);
  };
  const std::vector<double> sizes = header.numbers("sizes", axes.size());
  require(!sizes.empty(), "the header does not give the sizes of its axes");
  fill(sizes, [](Axis& axis, double n) { axis.size = n >= 1 && n < 1e15 ? static_cast<int64_t>(n) : 0; });
  fill(header.numbers("spacings", axes.size()), [](Axis& axis, double v) { axis.spacing = v; });
  fill(header.numbers("axismins", axes.size()), [](Axis& axis, double v) { axis.minimum = v; });
  fill(header.numbers("axismaxs", axes.size()), [](Axis& axis, double v) { axis.maximum = v; });
  fill(header.words("kinds", axes.size()), [](Axis& axis, const std::string& w) { axis.kind = plain(w); });
  fill(header.words("units", axes.size()), [](Axis& axis, const std::string& w) { axis.unit = w; });
  fill(header.words("centers", axes.size()),
       [](Axis& axis, const std::string& w) { axis.cell_centred = plain(w) != "node"; });
  fill(header.words("spacedirections", axes.size()), [](Axis& axis, std::string w) {
    if (plain(w) == "none") return;
    std::replace(w.begin(), w.end(), ',', ' ');
    std::istringstream in(w);
    for (std::string word; in >> word;)
      if (plain(word) != "nan") axis.direction.push_back(number_of(word, "space directions"));  // nan: none
  });
  return axes;
}

/// How the header's coordinates x, y, z become mm to the Right, Anterior, Superior: a sign for each.
struct Space {
  size_t dimension = 0;  ///< of its vectors; 0: not given
  std::array<double, 3> signs{-1, -1, 1};
  std::string assumption;  ///< what had to be assumed, for a warning
};

Space space_of(const Header& header) {
  const char* const kLps =
      "the header does not place the axes in the patient; left, posterior and superior are taken";
  Space out;
  std::string name = plain(header.text("space"));
  if (name.empty()) {
    out.dimension = static_cast<size_t>(std::clamp<int64_t>(header.whole("spacedimension", 0), 0, kMostAxes));
    out.assumption = kLps;
    return out;
  }
  out.dimension = 3;
  if (name.ends_with("-time") || (name.size() == 4 && name.ends_with('t'))) {
    out.dimension = 4;
    name.erase(name.size() - (name.ends_with("-time") ? 5 : 1));
  }
  if (name == "right-anterior-superior" || name == "ras") {
    out.signs = {1, 1, 1};
  } else if (name == "left-anterior-superior" || name == "las") {
    out.signs = {-1, 1, 1};
  } else if (name == "3d-left-handed") {
    out.signs = {-1, 1, 1};
    out.assumption =
        "the header does not place the axes in the patient, but says that they are left-handed; left, "
        "anterior and "
        "superior are taken";
  } else if (name == "scanner-xyz" || name == "3d-right-handed") {
    out.assumption = kLps;
  } else {
    require(name == "left-posterior-superior" || name == "lps", "the space \"", header.text("space"),
            "\" is none of NRRD's");
  }
  return out;
}

/// mm of one unit, which is "" where none is given.
double checked_unit(const std::string& unit, const Warn& warn) {
  const std::optional<double> mm = mm_of_unit(unit);
  if (!mm && warn) warn(concat("the header's unit of length, \"", unit, "\", is not known; mm are taken"));
  return mm.value_or(1);
}

/// Puts the axes that lie in space first where they must be the only ones: all others have one entry.
std::vector<Axis> axes_in_space(const std::vector<Axis>& axes) {
  const bool has_directions =
      std::any_of(axes.begin(), axes.end(), [](const Axis& a) { return !a.direction.empty(); });
  std::vector<Axis> out;
  for (size_t a = 0; a < axes.size(); ++a) {
    const Axis& axis = axes[a];
    bool in_space = axis.kind.empty() || axis.kind == "???" || axis.kind == "domain" || axis.kind == "space";
    if (has_directions) {
      const auto first = axis.direction.begin();
      const auto last = first + static_cast<std::ptrdiff_t>(std::min<size_t>(3, axis.direction.size()));
      in_space = std::any_of(first, last, [](double v) { return v != 0; });
    } else if (axis.size == 1 && out.size() >= 3) {
      in_space = false;
    }
    require(in_space || axis.size == 1, "axis ", a + 1, " of the file (",
            axis.kind.empty() ? "of no kind in space" : axis.kind, ") has ", axis.size,
            " entries; expected one number a voxel, so take one of them out first");
    if (in_space) out.push_back(axis);
  }
  std::vector<int64_t> sizes;
  for (const Axis& axis : out) sizes.push_back(axis.size);
  require(!out.empty() && out.size() <= 3, "the image is ", out.size(), "-D (", sizes_text(sizes),
          "); expected one 3-D image, so take one volume out of it first");
  checked_voxel_count(sizes);
  return out;
}

/// mm of one unit of the three coordinates of the space.
std::array<double, 3> units_of_space(const Header& header, const Space& space, const std::vector<Axis>& axes,
                                     const Warn& warn) {
  const std::vector<std::string> units = header.words("spaceunits", space.dimension);
  std::array<double, 3> mm{1, 1, 1};
  if (units.empty()) {  // some writers give the unit of the axes instead
    const bool one =
        std::all_of(axes.begin(), axes.end(), [&](const Axis& a) { return a.unit == axes[0].unit; });
    if (one) mm.fill(checked_unit(axes[0].unit, warn));
  }
  for (size_t row = 0; row < std::min<size_t>(3, units.size()); ++row)
    mm[row] = checked_unit(units[row], warn);
  return mm;
}

/// The map by directions and origin. The origin is the centre of the first voxel, whatever the centring.
void place_in_space(const Header& header, const Space& space, const std::vector<Axis>& axes, Affine& affine,
                    const Warn& warn) {
  const std::array<double, 3> mm = units_of_space(header, space, axes, warn);
  std::vector<double> origin;
  std::string text = header.text("spaceorigin");
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == ',' || c == '(' || c == ')'; }, ' ');
  std::istringstream in(text);
  for (std::string word; in >> word;) origin.push_back(number_of(word, "space origin"));
  require(origin.empty() || origin.size() == space.dimension, "expected ", space.dimension,
          " numbers in \"space origin: ", header.text("spaceorigin"), "\"");
  for (size_t row = 0; row < std::min<size_t>(3, space.dimension); ++row) {
    if (!origin.empty()) affine.offset[row] = origin[row] * mm[row];
    for (size_t a = 0; a < axes.size(); ++a) affine.matrix[row][a] = axes[a].direction[row] * mm[row];
  }
}

/// The map by spacings, or minimum and maximum, of each axis alone.
void place_by_axes(const std::vector<Axis>& axes, Affine& affine, const Warn& warn) {
  for (size_t a = 0; a < axes.size(); ++a) {
    const Axis& axis = axes[a];
    const double mm = checked_unit(axis.unit, warn);
    const auto steps = static_cast<double>(axis.cell_centred ? axis.size : axis.size - 1);
    double spacing = std::isfinite(axis.spacing) ? axis.spacing : (axis.maximum - axis.minimum) / steps;
    if (!std::isfinite(spacing)) spacing = 1;
    affine.matrix[a][a] = spacing * mm;
    if (std::isfinite(axis.minimum))
      affine.offset[a] = (axis.minimum + (axis.cell_centred ? spacing / 2 : 0)) * mm;
  }
}

/// A picture lies in space: its third axis is at right angles to the first two, 1 mm a step.
void complete(Affine& affine, size_t axes) {
  auto& m = affine.matrix;
  if (axes == 1) {
    const std::array<double, 3> x{m[0][0], m[1][0], m[2][0]};
    const size_t least = static_cast<size_t>(
        std::min_element(x.begin(), x.end(), [](double a, double b) { return std::abs(a) < std::abs(b); }) -
        x.begin());
    Vector3 other{0, 0, 0};
    other[least] = 1;
    const double dot = x[least] / (x[0] * x[0] + x[1] * x[1] + x[2] * x[2]);
    for (size_t row = 0; row < 3; ++row) m[row][1] = other[row] - dot * x[row];
  }
  const Vector3 normal{m[1][0] * m[2][1] - m[2][0] * m[1][1], m[2][0] * m[0][1] - m[0][0] * m[2][1],
                       m[0][0] * m[1][1] - m[1][0] * m[0][1]};
  const double length = std::hypot(normal[0], normal[1], normal[2]);
  for (size_t row = 0; row < 3; ++row) m[row][2] = normal[row] / length;
}

Geometry geometry_of(const Header& header, const Warn& warn) {
  const Space space = space_of(header);
  const std::vector<Axis> all = axes_of(header), axes = axes_in_space(all);
  for (const Axis& axis : all)
    require(axis.direction.empty() || axis.direction.size() == space.dimension, "expected vectors of ",
            space.dimension, " numbers in \"space directions: ", header.text("spacedirections"), "\"");
  Geometry out;
  out.size = {1, 1, 1};
  for (size_t a = 0; a < axes.size(); ++a) out.size[a] = axes[a].size;
  Affine& affine = out.voxel_to_ras_mm;
  if (axes[0].direction.empty()) {
    place_by_axes(axes, affine, warn);
  } else {
    place_in_space(header, space, axes, affine, warn);
  }
  if (axes.size() < 3) complete(affine, axes.size());
  for (size_t row = 0; row < 3; ++row) {
    affine.offset[row] = 0.0 + space.signs[row] * affine.offset[row];
    for (double& value : affine.matrix[row]) value = 0.0 + space.signs[row] * value;
  }
  if (warn && !space.assumption.empty()) warn(space.assumption);
  return out;
}

size_t type_of(const Header& header) {
  const std::string name = plain(header.text("type"));
  for (size_t type = 0; type < kTypes.size(); ++type)
    for (const char* known : kTypes[type])
      if (name == plain(known)) return type;
  throw Error(concat("voxels of type \"", header.text("type"), "\" are not read"));
}

VoxelSource::Encoding encoding_of(const Header& header) {
  using Encoding = VoxelSource::Encoding;
  const std::string name = plain(header.text("encoding"));
  if (name == "raw") return Encoding::kRaw;
  if (name == "gzip" || name == "gz") return Encoding::kDeflated;
  if (name == "bzip2" || name == "bz2") return Encoding::kBzip2;
  if (name == "ascii" || name == "text" || name == "txt") return Encoding::kText;
  if (name == "hex") return Encoding::kHex;
  throw Error(concat("voxels in the encoding \"", header.text("encoding"), "\" are not read"));
}

VoxelSource source_of(const Header& header, const std::string& path) {
  VoxelSource out;
  out.encoding = encoding_of(header);
  out.skipped_lines = header.whole("lineskip", 0);
  out.skipped_bytes = header.whole("byteskip", 0);
  const std::string endian = plain(header.text("endian"));
  const bool many_bytes = bytes_of(voxels_of_type(type_of(header), 1)).size() > 1;
  require(
      endian == "little" || endian == "big" || !many_bytes || out.encoding == VoxelSource::Encoding::kText,
      "the header does not say in which order the bytes of a number stand (\"endian: ", header.text("endian"),
      "\")");
  out.big_endian = endian == "big";
  const std::string data = header.text("datafile");
  if (data.empty()) {
    if (out.skipped_bytes < 0) out.files = {path};  // the voxels are the last bytes of this very file
    return out;
  }
  if (data.starts_with("LIST")) {
    for (const std::string& name : header.listed_files) out.files.push_back(beside_header(path, name));
    require(!out.files.empty(), "the header lists no file with voxels");
    return out;
  }
  std::istringstream in(data);
  std::string pattern;
  int64_t first = 0, last = 0, step = 0;
  if (in >> pattern >> first >> last >> step && pattern.find('%') != std::string::npos)
    out.files = numbered_files(path, pattern, first, last, step);
  else
    out.files = {beside_header(path, data)};
  return out;
}

}  // namespace

Image read_nrrd(const std::string& path, Part part, const Warn& warn) {
  ByteReader file(path);
  const Header header(file);
  Image image;
  image.geometry = geometry_of(header, warn);
  const size_t type = type_of(header);
  const VoxelSource source = source_of(header, path);
  if (part == Part::kVoxels)
    image.voxels = read_voxels(source, file, type, static_cast<size_t>(image.geometry.voxel_count()));
  return image;
}

void write_nrrd(const std::string& path, const Image& image) {
  const Affine& affine = image.geometry.voxel_to_ras_mm;
  const auto vector = [](std::ostream& out, double right, double anterior, double superior) {
    out << " (" << 0.0 - right << "," << 0.0 - anterior << "," << superior << ")";
  };
  std::ostringstream text;
  text.precision(std::numeric_limits<double>::max_digits10);
  const Index3& n = image.geometry.size;
  text << "NRRD0004\ntype: " << kTypes[image.voxels.index()].front()
       << "\ndimension: 3\nspace: left-posterior-superior\nsizes: " << n[0] << ' ' << n[1] << ' ' << n[2]
       << "\nspace directions:";
  for (int axis = 0; axis < 3; ++axis)
    vector(text, affine.matrix[0][axis], affine.matrix[1][axis], affine.matrix[2][axis]);
  text << "\nkinds: domain domain domain\nendian: "
       << (std::endian::native == std::endian::big ? "big" : "little") << "\nencoding: gzip\nspace origin:";
  vector(text, affine.offset[0], affine.offset[1], affine.offset[2]);
  text << '\n';
  const std::string packed = deflated(bytes_of(image.voxels), DeflateFormat::kGzip);
  if (format_of_name(path)->endings.front() != ".nhdr") {
    write_file_atomically(path, text.str() + "\n" + packed);
    return;
  }
  const std::filesystem::path voxel_path = std::filesystem::path(path).replace_extension(".raw.gz");
  const std::string header = text.str() + "data file: " + voxel_path.filename().string() + "\n";
  write_pair_atomically({voxel_path.string(), writer_of(packed)}, {path, writer_of(header)});
}

}  // namespace mambaseg

#include "mambaseg/io/dicom_outline.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr uint32_t kUndefined = 0xffffffff;
constexpr uint32_t kTransferSyntax = 0x00020010, kObject = 0x00080016, kInstance = 0x00080018,
                   kImagerSpacing = 0x00181164, kNominalSpacing = 0x00182010, kSeriesWords = 0x0008103e,
                   kSeries = 0x0020000e, kPosition = 0x00200032, kOrientation = 0x00200037,
                   kPhotometric = 0x00280004, kFrames = 0x00280008, kSpacing = 0x00280030,
                   kIntercept = 0x00281052, kSlope = 0x00281053, kLookupTable = 0x00283000,
                   kPixels = 0x7fe00010;
constexpr uint32_t kSamples = 0x00280002, kRows = 0x00280010, kColumns = 0x00280011;
constexpr uint32_t kAllocated = 0x00280100, kStored = 0x00280101, kHighBit = 0x00280102, kSigned = 0x00280103;
constexpr uint32_t kItem = 0xfffee000, kItemEnd = 0xfffee00d, kSequenceEnd = 0xfffee0dd;
/// Functional groups, shared and of each frame, and the sequences in them that say where a frame lies and
/// what its numbers mean.
constexpr uint32_t kShared = 0x52009229, kPerFrame = 0x52009230;
constexpr std::array<uint32_t, 6> kEntered{kShared,    kPerFrame,  0x00209113,
                                           0x00209116, 0x00289110, 0x00289145};
constexpr size_t kLongestText = 1 << 20;
constexpr size_t kMark = 128;

struct Element {
  uint32_t tag = 0;
  uint32_t length = 0;
  bool is_unknown = false;  ///< of type UN, whose items are written without types
};

/// An item or sequence that was entered.
struct Level {
  uint32_t tag = 0;
  int64_t end = -1;  ///< -1: where its end is marked
  bool implicit = false;
};

/// Elements one after the other.
class Walk {
 public:
  Walk(const std::string& path, int64_t start)
      : file_(path, std::ios::binary), size_(static_cast<int64_t>(std::filesystem::file_size(path))) {
    seek(start);
    if (start == 0 && !in_meta()) {  // a bare data set: types are letters
      std::array<char, 6> first{};
      bytes(first.data(), first.size());
      implicit_ = !(std::isupper(static_cast<unsigned char>(first[4])) &&
                    std::isupper(static_cast<unsigned char>(first[5])));
      seek(0);
    }
  }

  bool at_end() const { return at_ >= size_; }

  int64_t place() const { return at_; }

  /// `implicit`: the elements of this part have no types, whatever the transfer syntax says.
  Element next(bool implicit) {
    const bool meta = in_meta();
    const bool big = big_ && !meta;
    Element element;
    element.tag = number(2, big) << 16;
    element.tag |= number(2, big);
    const bool delimiter = element.tag == kItem || element.tag == kItemEnd || element.tag == kSequenceEnd;
    if (delimiter || ((implicit_ || implicit) && !meta)) {
      element.length = number(4, big);
      return element;
    }
    std::array<char, 2> type{};
    bytes(type.data(), type.size());
    static constexpr std::string_view kLong = "OB OD OF OL OV OW SQ SV UC UN UR UT UV";
    static constexpr std::string_view kShort =
        "AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US";
    const auto among = [&type](std::string_view known) {
      return type[0] != ' ' && type[1] != ' ' && known.find({type.data(), 2}) != std::string_view::npos;
    };
    const bool is_long = among(kLong);
    require(is_long || among(kShort), "the header is damaged (an element of unknown type)");
    if (is_long) number(2, big);
    element.length = number(is_long ? 4 : 2, big);
    element.is_unknown = type[0] == 'U' && type[1] == 'N';
    return element;
  }

  std::string text(uint32_t length) {
    require(length <= kLongestText, "the header is damaged");
    std::string value(length, '\0');
    bytes(value.data(), length);
    value.erase(std::find(value.begin(), value.end(), '\0'), value.end());
    value.erase(0, value.find_first_not_of(' '));
    value.erase(value.find_last_not_of(' ') + 1);
    return value;
  }

  /// An unsigned number of two bytes.
  uint32_t short_number(uint32_t length) {
    require(length >= 2, "the header is damaged");
    const uint32_t value = number(2, big_);
    step_over(length - 2);
    return value;
  }

  void step_over(uint32_t length) {
    require(at_ + length <= size_, "the file is cut off: it ends ", at_ + length - size_, " bytes early");
    seek(at_ + length);
  }

  void set_syntax(const std::string& uid) {
    implicit_ = uid == "1.2.840.10008.1.2";
    big_ = uid == "1.2.840.10008.1.2.2";
    deflated_ = uid == "1.2.840.10008.1.2.1.99";
  }
  bool deflated() const { return deflated_; }

  /// The group of the next element is 2, whose elements are always explicit and little-endian.
  bool in_meta() {
    std::array<char, 2> group{};
    require(at_ + 2 <= size_, "the file is cut off");
    file_.read(group.data(), 2);
    seek(at_);
    return group[0] == 2 && group[1] == 0;
  }

 private:
  void seek(int64_t at) {
    file_.clear();
    file_.seekg(at);
    at_ = at;
  }
  void bytes(char* out, int64_t count) {
    require(at_ + count <= size_, "the file is cut off");
    file_.read(out, count);
    at_ += count;
  }
  uint32_t number(int64_t count, bool big) {
    std::array<char, 4> raw{};
    bytes(raw.data(), count);
    uint32_t value = 0;
    for (int64_t i = 0; i < count; ++i) {
      const auto byte = static_cast<uint8_t>(raw[static_cast<size_t>(big ? i : count - 1 - i)]);
      value = value << 8 | byte;
    }
    return value;
  }

  std::ifstream file_;
  int64_t size_ = 0, at_ = 0;
  bool implicit_ = false, big_ = false, deflated_ = false;
};

bool is_pixel_number(uint32_t tag) {
  return tag == kSamples || tag == kRows || tag == kColumns || (tag >= kAllocated && tag <= kSigned);
}

/// What the header says of a pixel. GDCM ends the program where one is impossible.
void check_pixel_number(uint32_t tag, uint32_t value) {
  const auto check = [value](const char* what, uint32_t low, uint32_t high) {
    require(value >= low && value <= high, "the header is damaged: ", what, " is ", value, ", expected ", low,
            " to ", high);
  };
  if (tag == kSamples) check("SamplesPerPixel", 1, 4);
  if (tag == kRows) check("Rows", 1, 65535);
  if (tag == kColumns) check("Columns", 1, 65535);
  if (tag == kAllocated) check("BitsAllocated", 1, 64);
  if (tag == kStored) check("BitsStored", 1, 64);
  if (tag == kHighBit) check("HighBit", 0, 63);
  if (tag == kSigned) check("PixelRepresentation", 0, 1);
}

/// Notes the value of an element of the file itself or of a functional group.
void note(DicomOutline& out, uint32_t tag, const std::string& value) {
  switch (tag) {
    case kObject:
      out.object = value;
      break;
    case kInstance:
      out.instance = value;
      break;
    case kImagerSpacing:
    case kNominalSpacing:
      if (dicom_numbers(value).size() == 2) out.imager_spacing = value;
      break;
    case kSeries:
      out.series = value;
      break;
    case kSeriesWords:
      out.series_words = value;
      break;
    case kPhotometric:
      out.photometric = value;
      break;
    case kFrames:
      if (const auto frames = dicom_numbers(value); frames.size() == 1 && frames[0] >= 1 && frames[0] < 1e9)
        out.frames = static_cast<int64_t>(frames[0]);
      break;
    case kPosition:
      if (const auto at = dicom_numbers(value); at.size() == 3)
        out.positions.push_back({at[0], at[1], at[2]});
      break;
    case kOrientation:
      if (dicom_numbers(value).size() == 6) out.orientations.insert(value);
      break;
    case kSpacing:
      out.spacings.insert(value);
      break;
    default:
      out.slopes.insert((tag == kSlope ? "slope " : "intercept ") + value);
  }
}

/// Whether an element says something that note() notes, where it stands below `levels`.
bool is_noted(uint32_t tag, const std::vector<Level>& levels) {
  static constexpr std::array<uint32_t, 8> kOfFile{kObject, kInstance,    kImagerSpacing, kNominalSpacing,
                                                   kSeries, kSeriesWords, kPhotometric,   kFrames};
  static constexpr std::array<uint32_t, 5> kOfFrame{kPosition, kOrientation, kSpacing, kSlope, kIntercept};
  if (std::find(kOfFrame.begin(), kOfFrame.end(), tag) != kOfFrame.end())
    return levels.empty() || levels.front().tag == kShared || levels.front().tag == kPerFrame;
  return levels.empty() && std::find(kOfFile.begin(), kOfFile.end(), tag) != kOfFile.end();
}

}  // namespace

namespace {

/// Whether two elements of the groups that come first stand at the start, in order.
bool is_bare_data_set(const std::string& start) {
  const auto number = [&start](size_t at, size_t bytes) {
    size_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value |= size_t{static_cast<uint8_t>(start[at + i])} << 8 * i;
    return value;
  };
  if (start.size() < 16) return false;
  const bool typed = std::isupper(static_cast<unsigned char>(start[4])) &&
                     std::isupper(static_cast<unsigned char>(start[5]));
  const size_t group = number(0, 2), second = 8 + (typed ? number(6, 2) : number(4, 4));
  if ((group != 2 && group != 8) || second % 2 != 0 || second + 8 > start.size()) return false;
  return number(second, 2) == group && number(second + 2, 2) > number(2, 2) && number(second + 2, 2) < 0x3000;
}

}  // namespace

std::optional<int64_t> dicom_start(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string start(512, '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<size_t>(file.gcount()));
  if (start.size() > kMark && start.compare(kMark, 4, "DICM") == 0) return kMark + 4;
  if (start.starts_with("DICM")) return 4;
  if (is_bare_data_set(start)) return 0;
  return std::nullopt;
}

std::vector<double> dicom_numbers(std::string text) {
  std::replace(text.begin(), text.end(), '\\', ' ');
  std::istringstream in(text);
  std::vector<double> out;
  for (double value = 0; in >> value;) out.push_back(value);
  return in.eof() ? out : std::vector<double>();
}

DicomOutline outline_dicom(const std::string& path) {
  const auto start = dicom_start(path);
  require(start.has_value(), "this is not a DICOM file (the mark DICM is missing)");
  Walk walk(path, *start);
  DicomOutline out;
  out.lacks_mark = *start == 0 && walk.in_meta();
  std::vector<Level> levels;
  while (!walk.at_end()) {
    while (!levels.empty() && levels.back().end >= 0 && walk.place() >= levels.back().end) levels.pop_back();
    const bool meta = levels.empty() && walk.in_meta();
    if (!meta && walk.deflated()) {  // left to GDCM
      out.has_pixels = out.is_packed = true;
      break;
    }
    const bool implicit = !levels.empty() && levels.back().implicit;
    const Element element = walk.next(implicit);
    const bool undefined = element.length == kUndefined;
    const int64_t end = undefined ? -1 : walk.place() + element.length;
    const bool in_pixels = !levels.empty() && levels.back().tag == kPixels;
    const bool of_entered =
        std::find(kEntered.begin(), kEntered.end(), element.tag) != kEntered.end() ||
        (element.tag == kItem && !levels.empty() &&
         std::find(kEntered.begin(), kEntered.end(), levels.back().tag) != kEntered.end());
    if (element.tag == kPixels && levels.empty()) out.has_pixels = true;
    if (element.tag == kLookupTable && levels.empty()) out.lookup_table = "there";
    if (element.tag == kItemEnd || element.tag == kSequenceEnd) {
      if (!levels.empty()) levels.pop_back();
      walk.step_over(element.length);
    } else if (element.tag == kTransferSyntax && meta) {
      out.transfer_syntax = walk.text(element.length);
      walk.set_syntax(out.transfer_syntax);
    } else if (undefined || (of_entered && !in_pixels)) {
      levels.push_back({element.tag, end, implicit || element.is_unknown});
    } else if (is_pixel_number(element.tag)) {
      const uint32_t value = walk.short_number(element.length);
      check_pixel_number(element.tag, value);
      if (element.tag == kStored && levels.empty()) out.bits_stored = value;
      if (element.tag == kHighBit && levels.empty()) out.high_bit = value;
    } else if (is_noted(element.tag, levels)) {
      if (element.tag == kPhotometric) out.photometric_at = walk.place();
      note(out, element.tag, walk.text(element.length));
    } else {
      walk.step_over(element.length);
    }
    if (out.has_pixels && levels.empty()) {  // what follows is padding
      out.end = walk.place();
      break;
    }
  }
  return out;
}

}  // namespace mambaseg

#include "mambaseg/io/dicom_outline.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr uint32_t kUndefined = 0xffffffff;
constexpr uint32_t kTransferSyntax = 0x00020010, kSeries = 0x0020000e, kPixels = 0x7fe00010;
constexpr uint32_t kSamples = 0x00280002, kRows = 0x00280010, kColumns = 0x00280011;
constexpr uint32_t kAllocated = 0x00280100, kStored = 0x00280101, kHighBit = 0x00280102, kSigned = 0x00280103;
constexpr uint32_t kItem = 0xfffee000, kItemEnd = 0xfffee00d, kSequenceEnd = 0xfffee0dd;

struct Element {
  uint32_t tag = 0;
  uint32_t length = 0;
};

/// Elements one after the other. Items and sequences of undefined length are entered, so that the walk stays
/// flat; those of known length are stepped over.
class Walk {
 public:
  explicit Walk(const std::string& path)
      : file_(path, std::ios::binary), size_(static_cast<int64_t>(std::filesystem::file_size(path))) {
    seek(132);
  }

  bool at_end() const { return at_ >= size_; }

  Element next() {
    const bool meta = in_meta();
    const bool big = big_ && !meta;
    Element element;
    element.tag = number(2, big) << 16;
    element.tag |= number(2, big);
    const bool delimiter = element.tag == kItem || element.tag == kItemEnd || element.tag == kSequenceEnd;
    if (delimiter || (implicit_ && !meta)) {
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
    return element;
  }

  std::string text(uint32_t length) {
    require(length <= 256, "the header is damaged");
    std::string value(length, '\0');
    bytes(value.data(), length);
    value.erase(std::find_if(value.begin(), value.end(), [](char c) { return c == '\0' || c == ' '; }),
                value.end());
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

}  // namespace

bool has_dicom_mark(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 132> start{};
  file.read(start.data(), start.size());
  return file.gcount() == 132 && std::string(start.data() + 128, 4) == "DICM";
}

DicomOutline outline_dicom(const std::string& path) {
  Walk walk(path);
  DicomOutline out;
  int depth = 0;  // of items and sequences that were entered
  while (!walk.at_end()) {
    const bool meta = walk.in_meta();
    if (!meta && walk.deflated()) {  // its elements cannot be seen; left to GDCM
      out.has_pixels = true;
      break;
    }
    const Element element = walk.next();
    if (element.tag == kPixels && depth == 0) out.has_pixels = true;
    if (element.tag == kItemEnd || element.tag == kSequenceEnd) --depth;
    if (element.tag == kTransferSyntax && meta) {
      walk.set_syntax(walk.text(element.length));
    } else if (element.tag == kSeries && depth == 0 && element.length != kUndefined) {
      out.series = walk.text(element.length);
    } else if (is_pixel_number(element.tag) && element.length != kUndefined) {
      check_pixel_number(element.tag, walk.short_number(element.length));
    } else if (element.length != kUndefined) {
      walk.step_over(element.length);
    } else {
      ++depth;
    }
    if (out.has_pixels && depth <= 0) break;  // what follows is padding
  }
  return out;
}

}  // namespace mambaseg

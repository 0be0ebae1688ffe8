#include "mambaseg/data/picture_mask.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <limits>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/picture.h"

namespace mambaseg {
namespace {

constexpr int32_t kBlackish = 10, kWhitish = 245, kWhite = 255;

/// The first bytes of a file: enough for the head of a PNG.
std::array<uint8_t, 26> head_of(const std::string& path) {
  std::array<uint8_t, 26> bytes{};
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(bytes.data()), bytes.size());
  return bytes;
}

bool is_jpeg(const std::array<uint8_t, 26>& head) { return head[0] == 0xff && head[1] == 0xd8; }

bool is_grey_png_of_16_bits(const std::array<uint8_t, 26>& head) {
  return head[0] == 0x89 && head[1] == 'P' && head[24] == 16 && head[25] == 0;
}

/// A mask in black and one colour as 0 and 255, a grey one as it is. Throws Error for other colours.
Picture without_colour(const std::string& path, Picture picture) {
  std::set<std::array<uint8_t, 3>> colours;
  bool grey = true;
  const auto step = static_cast<size_t>(picture.channels);
  for (size_t i = 0; i + 2 < picture.values.size(); i += step) {
    const std::array<uint8_t, 3> colour{picture.values[i], picture.values[i + 1], picture.values[i + 2]};
    grey = grey && colour[0] == colour[1] && colour[1] == colour[2];
    if (colours.size() < 3) colours.insert(colour);
    if (!grey && colours.size() > 2) break;
  }
  require(grey || (colours.size() <= 2 &&
                   colours.begin()->at(0) + colours.begin()->at(1) + colours.begin()->at(2) == 0),
          path,
          ": expected a grey mask, or black and one colour; this picture is coloured (plan.colours, in a "
          "recipe or model that --labels names, says which label number a colour is; of a palette the "
          "colours count)");
  if (grey) return to_grey(picture);
  Picture mask{picture.width, picture.height, 1, {}};
  for (size_t i = 0; i + 2 < picture.values.size(); i += step)
    mask.values.push_back(picture.values[i] + picture.values[i + 1] + picture.values[i + 2] > 0 ? kWhite : 0);
  return mask;
}

/// The numbers of a coloured mask.
PictureNumbers numbers_of_colours(const std::string& path, const MaskColours& colours, bool jpeg) {
  require(!jpeg, path, ": a JPEG does not keep colours exactly; save this mask as PNG");
  const Picture picture = read_picture(path);
  const auto step = static_cast<size_t>(picture.channels);
  const size_t green = step >= 3 ? 1 : 0, blue = step >= 3 ? 2 : 0;
  PictureNumbers out{picture.width, picture.height, {}, false};
  for (size_t i = 0; i < picture.values.size(); i += step) {
    const std::array<uint8_t, 3> colour{picture.values[i], picture.values[i + green],
                                        picture.values[i + blue]};
    const auto found = colours.find(colour);
    const bool black = colour == std::array<uint8_t, 3>{};
    if (found == colours.end() && !black) {
      char name[8];
      std::snprintf(name, sizeof name, "#%02x%02x%02x", colour[0], colour[1], colour[2]);
      const size_t pixel = i / step, width = static_cast<size_t>(picture.width);
      throw Error(concat(path, ": the colour ", name, " (column ", pixel % width, ", row ", pixel / width,
                         ") has no label number; name it in plan.colours"));
    }
    out.values.push_back(found == colours.end() ? 0 : found->second);
  }
  return out;
}

/// 16 bits brought to 8.
int32_t of_255(int32_t value, bool wide) { return wide ? (value + 128) / 257 : value; }

bool is_wide(const PictureNumbers& picture) {
  return std::any_of(picture.values.begin(), picture.values.end(), [](int32_t v) { return v > kWhite; });
}

}  // namespace

MaskColours mask_colours(const std::map<std::string, int64_t>& numbers) {
  MaskColours colours;
  for (const auto& [name, number] : numbers) {
    const bool hexadecimal = name.size() == 7 && name[0] == '#' &&
                             name.find_first_not_of("0123456789abcdefABCDEF", 1) == std::string::npos;
    if (!hexadecimal)
      throw UsageError(
          concat("colours: expected names as \"#ff0000\" (red, green, blue), got \"", name, "\""));
    if (number < 0 || number > std::numeric_limits<int32_t>::max())
      throw UsageError(concat("colours: expected a label number for \"", name, "\", got ", number));
    const unsigned long rgb = std::stoul(name.substr(1), nullptr, 16);
    colours[{static_cast<uint8_t>(rgb >> 16), static_cast<uint8_t>(rgb >> 8), static_cast<uint8_t>(rgb)}] =
        static_cast<int32_t>(number);
  }
  return colours;
}

PictureNumbers read_picture_numbers(const std::string& path, const MaskColours& colours) {
  const auto head = head_of(path);
  PictureNumbers out;
  out.jpeg = is_jpeg(head);
  if (!colours.empty()) return numbers_of_colours(path, colours, out.jpeg);
  if (is_grey_png_of_16_bits(head)) {
    Volume<int32_t> labels = read_labels(path);
    out.width = labels.geometry.size[0];
    out.height = labels.geometry.size[1];
    out.values = std::move(labels.voxels);
    return out;
  }
  Picture picture = read_picture(path);
  const bool coloured = picture.channels >= 3 && !out.jpeg;
  const Picture grey = coloured ? without_colour(path, std::move(picture)) : to_grey(picture);
  out.width = grey.width;
  out.height = grey.height;
  out.values.assign(grey.values.begin(), grey.values.end());
  return out;
}

bool shows_a_mask(const PictureNumbers& picture) {
  if (picture.jpeg) return true;
  const bool wide = is_wide(picture);
  size_t black = 0, white = 0;
  for (const int32_t value : picture.values) {
    black += of_255(value, wide) <= kBlackish;
    white += of_255(value, wide) >= kWhitish;
  }
  return white > 0 && 2 * (black + white) >= picture.values.size();
}

bool has_grey_edges(const PictureNumbers& picture) {
  const bool wide = is_wide(picture);
  std::set<int32_t> found;
  for (const int32_t value : picture.values)
    if (found.size() < 3) found.insert(of_255(value, wide));
  return found.size() > 2;
}

std::vector<uint8_t> structure_of(const PictureNumbers& picture, int64_t threshold) {
  const bool wide = is_wide(picture);
  std::set<int32_t> above_zero;
  int32_t largest = 0;
  for (const int32_t value : picture.values) {
    largest = std::max(largest, of_255(value, wide));
    if (value > 0 && above_zero.size() < 2) above_zero.insert(value);
  }
  const bool cut = picture.jpeg || largest > threshold;
  require(cut || above_zero.size() < 2, "expected a mask (black and white, or 0 and one other value), got ",
          "several values up to ", largest, "; a picture of label numbers is no mask");
  std::vector<uint8_t> mask;
  mask.reserve(picture.values.size());
  for (const int32_t value : picture.values)
    mask.push_back(cut ? of_255(value, wide) > threshold : value > 0);
  return mask;
}

}  // namespace mambaseg

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "mambaseg/core/error.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/io/summary.h"

namespace mambaseg {
namespace {

using Json = nlohmann::ordered_json;

void print_block(const std::string& path, const ImageSummary& s) {
  const Index3& n = s.geometry.size;
  const Vector3 spacing = s.geometry.spacing_mm();
  std::printf("%s\n", path.c_str());
  std::printf("  format       %s\n", s.format.c_str());
  std::printf("  size         %" PRId64 " x %" PRId64 " x %" PRId64 " voxels\n", n[0], n[1], n[2]);
  std::printf("  spacing      %g x %g x %g mm\n", spacing[0], spacing[1], spacing[2]);
  std::printf("  orientation  %s\n", s.geometry.orientation().c_str());
  for (int row = 0; row < 3; ++row) {
    const Vector3& m = s.geometry.voxel_to_ras_mm.matrix[row];
    std::printf("  %-11s  %11.6g %11.6g %11.6g %11.6g\n", row == 0 ? "affine" : "", m[0], m[1], m[2],
                s.geometry.voxel_to_ras_mm.offset[row]);
  }
  std::printf("  numbers      %s, from %g to %g, mean %g\n", s.number_type.c_str(), s.minimum, s.maximum,
              s.mean);
  if (s.not_finite > 0) std::printf("  not finite   %" PRId64 " voxels (NaN or infinite)\n", s.not_finite);
  if (s.labels.empty()) return;
  std::printf("  %8s %12s %14s\n", "value", "voxels", "volume ml");
  for (const LabelCount& label : s.labels)
    std::printf("  %8" PRId64 " %12" PRId64 " %14.3f\n", label.value, label.voxels, label.volume_mm3 / 1000);
}

Json to_json(const std::string& path, const ImageSummary& s) {
  Json affine = Json::array();
  for (int row = 0; row < 3; ++row) {
    const Vector3& m = s.geometry.voxel_to_ras_mm.matrix[row];
    affine.push_back({m[0], m[1], m[2], s.geometry.voxel_to_ras_mm.offset[row]});
  }
  affine.push_back({0.0, 0.0, 0.0, 1.0});
  Json labels = Json::array();
  for (const LabelCount& label : s.labels)
    labels.push_back({{"value", label.value}, {"voxels", label.voxels}, {"volume_mm3", label.volume_mm3}});
  return {{"path", path},
          {"format", s.format},
          {"size", s.geometry.size},
          {"spacing_mm", s.geometry.spacing_mm()},
          {"orientation", s.geometry.orientation()},
          {"affine", affine},
          {"number_type", s.number_type},
          {"not_finite", s.not_finite},
          {"min", s.minimum},
          {"max", s.maximum},
          {"mean", s.mean},
          {"labels", labels}};
}

/// The picture when the file is one in colour, which is no image of one value a voxel.
std::optional<Picture> colour_picture(const std::string& path) {
  if (!is_picture_name(path)) return std::nullopt;
  Picture picture = read_picture(path);
  if (picture.channels == 1) return std::nullopt;
  return picture;
}

struct ChannelValues {
  int minimum = 255, maximum = 0;
  double mean = 0;
};

std::vector<ChannelValues> channels_of(const Picture& picture) {
  std::vector<ChannelValues> all(static_cast<size_t>(picture.channels));
  for (size_t v = 0; v < picture.values.size(); ++v) {
    ChannelValues& channel = all[v % all.size()];
    channel.minimum = std::min(channel.minimum, int(picture.values[v]));
    channel.maximum = std::max(channel.maximum, int(picture.values[v]));
    channel.mean += picture.values[v] / double(picture.width * picture.height);
  }
  return all;
}

constexpr const char* kColours[] = {"red", "green", "blue", "alpha"};

void print_block(const std::string& path, const Picture& picture) {
  std::printf("%s\n  format       colour picture, %d channels\n  size         %" PRId64 " x %" PRId64
              " pixels\n",
              path.c_str(), picture.channels, picture.width, picture.height);
  const auto channels = channels_of(picture);
  for (size_t c = 0; c < channels.size(); ++c)
    std::printf("  %-11s  from %d to %d, mean %g\n", kColours[c], channels[c].minimum, channels[c].maximum,
                channels[c].mean);
}

Json to_json(const std::string& path, const Picture& picture) {
  Json channels = Json::array();
  for (const ChannelValues& one : channels_of(picture))
    channels.push_back({{"min", one.minimum}, {"max", one.maximum}, {"mean", one.mean}});
  return {{"path", path},
          {"format", "colour picture"},
          {"size", {picture.width, picture.height}},
          {"channels", channels}};
}

void inspect(const std::vector<std::string>& paths, bool as_json) {
  Json all = Json::array();
  size_t failed = 0;
  bool first = true;
  for (const std::string& path : paths) {
    try {
      require(!path.ends_with(".safetensors"), path, ": this is a model, not an image");
      const auto tell = [&](const auto& seen) {
        if (as_json) {
          all.push_back(to_json(path, seen));
        } else {
          if (!first) std::printf("\n");
          print_block(path, seen);
          std::fflush(stdout);
        }
        first = false;
      };
      if (const auto picture = colour_picture(path))
        tell(*picture);
      else
        tell(summarise_image(path, warnings_to_stderr()));
    } catch (const Error& error) {  // one bad file does not hide the others
      ++failed;
      std::fprintf(stderr, "mambaseg: error: %s\n", error.what());
    }
  }
  if (as_json) std::printf("%s\n", all.dump(2).c_str());
  require(failed == 0, failed, " of ", paths.size(), " files could not be read");
}

}  // namespace

void declare_inspect(CLI::App& command) {
  struct Options {
    std::vector<std::string> paths;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  command.add_option("FILE", options->paths, "Images, or folders that hold one DICOM series each")
      ->required();
  command.add_flag("--json", options->json, "Print an array of objects");
  command.callback([options] { inspect(options->paths, options->json); });
}

}  // namespace mambaseg

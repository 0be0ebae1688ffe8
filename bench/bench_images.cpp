// CPU seconds of reading an image, or of writing its labels: for bench/peers/images_against_nibabel.py; of
// both with a drawn head of EDGE^3 voxels in FOLDER, and the largest memory, as an array of rows.
//
//   bench_images read IMAGE          {"cpu_s": ..., "voxels": ..., "sum": ...}
//   bench_images write LABELS OUT    {"cpu_s": ..., "bytes": ...}
//   bench_images both EDGE FOLDER    [{"case": ..., "unit": ..., "ours": ..., ...}, ...]

#include <cstdio>
#include <cstring>
#include <ctime>
#include <exception>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "mambaseg/core/error.h"
#include "mambaseg/core/memory.h"
#include "mambaseg/io/image.h"

namespace {

using namespace mambaseg;

double cpu_s() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void read(const std::string& path) {
  const double start = cpu_s();
  const Image image = read_image(path);
  const double took_s = cpu_s() - start;
  double sum = 0;
  size_t count = 0;
  std::visit(
      [&](const auto& voxels) {
        for (const auto value : voxels) sum += static_cast<double>(value);
        count = voxels.size();
      },
      image.voxels);
  std::printf("{\"cpu_s\": %.6f, \"voxels\": %zu, \"sum\": %.17g}\n", took_s, count, sum);
}

void write(const std::string& path, const std::string& out) {
  const Volume<int32_t> labels = read_labels(path);
  const double start = cpu_s();
  write_labels(out, labels);
  std::printf("{\"cpu_s\": %.6f, \"bytes\": %ju}\n", cpu_s() - start,
              static_cast<uintmax_t>(std::filesystem::file_size(out)));
}

/// Rings of tissue with noise within a ball, and their labels.
std::pair<Image, Volume<int32_t>> drawn_head(int64_t edge) {
  Geometry geometry;
  geometry.size = {edge, edge, edge};
  Volume<int32_t> labels(geometry);
  std::vector<int16_t> voxels(labels.voxels.size());
  const double half = static_cast<double>(edge) / 2;
  size_t at = 0;
  for (int64_t k = 0; k < edge; ++k)
    for (int64_t j = 0; j < edge; ++j)
      for (int64_t i = 0; i < edge; ++i, ++at) {
        const double x = static_cast<double>(i) / half - 1, y = static_cast<double>(j) / half - 1,
                     z = static_cast<double>(k) / half - 1, radius = x * x + y * y + z * z;
        if (radius > 0.8) continue;
        labels.voxels[at] = 1 + static_cast<int32_t>(40 * radius);
        const auto noise = static_cast<uint32_t>(at) * 2654435761u >> 28;
        voxels[at] = static_cast<int16_t>(300 + 20 * labels.voxels[at] + static_cast<int32_t>(noise));
      }
  Image image;
  image.geometry = geometry;
  image.voxels = std::move(voxels);
  return {std::move(image), std::move(labels)};
}

void both(int64_t edge, const std::string& folder) {
  const auto [image, labels] = drawn_head(edge);
  const std::string image_file = folder + "/image.nii.gz", labels_file = folder + "/labels.nii.gz";
  const char* separator = "[";
  const auto measure = [&](const std::string& what, const auto& work) {
    forget_peak_memory();
    const double start = cpu_s();
    work();
    const double took_s = cpu_s() - start, gib = static_cast<double>(peak_memory_bytes()) / (1 << 30);
    const auto print = [&](const char* suffix, const char* unit, double value) {
      std::printf("%s{\"case\": \"%s, %jd^3%s\", \"unit\": \"%s\", \"ours\": %.6f, \"threads\": 1}",
                  separator, what.c_str(), static_cast<intmax_t>(edge), suffix, unit, value);
      separator = ",\n ";
    };
    print("", "s", took_s);
    print(", largest memory", "GiB", gib);
  };
  measure("writing int16", [&] { write_image(image_file, image); });
  Image image_again;
  measure("reading int16", [&] { image_again = read_image(image_file); });
  require(image_again.voxels == image.voxels, image_file, ": other voxels came back than were written");
  image_again = {};
  measure("writing labels", [&] { write_labels(labels_file, labels); });
  Volume<int32_t> labels_again;
  measure("reading labels", [&] { labels_again = read_labels(labels_file); });
  require(labels_again.voxels == labels.voxels, labels_file, ": other labels came back than were written");
  std::printf("]\n");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 3 && std::strcmp(argv[1], "read") == 0) return read(argv[2]), 0;
    if (argc == 4 && std::strcmp(argv[1], "write") == 0) return write(argv[2], argv[3]), 0;
    if (argc == 4 && std::strcmp(argv[1], "both") == 0) return both(std::stoll(argv[2]), argv[3]), 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::fputs("bench_images read IMAGE | bench_images write LABELS OUT | bench_images both EDGE FOLDER\n",
             stderr);
  return 2;
}

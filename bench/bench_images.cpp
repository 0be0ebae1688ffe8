// CPU seconds of reading an image, or of writing its labels: for bench/peers/images_against_nibabel.py.
//
//   bench_images read IMAGE          {"cpu_s": ..., "voxels": ..., "sum": ...}
//   bench_images write LABELS OUT    {"cpu_s": ..., "bytes": ...}

#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <variant>

#include "mambaseg/core/error.h"
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

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 3 && std::strcmp(argv[1], "read") == 0) return read(argv[2]), 0;
    if (argc == 4 && std::strcmp(argv[1], "write") == 0) return write(argv[2], argv[3]), 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::fputs("bench_images read IMAGE | bench_images write LABELS OUT\n", stderr);
  return 2;
}

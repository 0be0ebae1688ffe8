// All metrics of a pair of 256^3 label images with 32 labels: time for one and more threads, peak memory;
// with
// --json an array of objects. With a folder as argument the pair is also written there for
// bench/metrics_against_scipy.py, with our values and the time on all cores in values.json.
//
//   bench_metrics [FOLDER] [--size N] [--labels N] [--threads N...] [--stray] [--json]
//
// --stray scatters a few voxels of every label over the whole prediction, so that no label has a small box.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <set>
#include <thread>
#include <tuple>

#include "mambaseg/config/config.h"
#include "mambaseg/core/memory.h"
#include "mambaseg/core/random.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/image.h"
#include "mambaseg/metrics/compare_labels.h"

namespace mambaseg {
namespace {

/// True within the ellipsoid of the brain, scaled.
bool inside(const Vector3& at, double scale) {
  return std::pow(at[0] / 0.62, 2) + std::pow(at[1] / 0.75, 2) + std::pow(at[2] / 0.6, 2) <= scale * scale;
}

/// Nested cells: every voxel within an ellipsoid goes to the nearest of as many seeds as labels,
/// distances bent by waves so that borders fold; `shift` moves the waves, which changes borders by a voxel or
/// two.
Volume<int32_t> brain_like(int64_t size, int count, double shift) {
  Geometry geometry;
  geometry.size = {size, size, size};
  Volume<int32_t> image(geometry);
  Random random(5);
  std::vector<Vector3> seeds;
  std::vector<double> weight;
  for (int l = 0; l < count; ++l) {
    Vector3 seed;
    do {
      seed = {random.uniform(-0.6, 0.6), random.uniform(-0.7, 0.7), random.uniform(-0.6, 0.6)};
    } while (!inside(seed, 0.85));
    seeds.push_back(seed);
    weight.push_back(random.uniform(0.8, 1.25));
  }
  const double half = double(size) / 2;
  for (int64_t k = 0; k < size; ++k)
    for (int64_t j = 0; j < size; ++j)
      for (int64_t i = 0; i < size; ++i) {
        const Vector3 at{(double(i) - half) / half, (double(j) - half) / half, (double(k) - half) / half};
        if (!inside(at, 1)) continue;
        const Vector3 bent{at[0] + 0.03 * std::sin(19 * at[1] + shift),
                           at[1] + 0.03 * std::sin(17 * at[2] + shift),
                           at[2] + 0.03 * std::sin(23 * at[0] - shift)};
        double nearest = 1e9;
        for (size_t l = 0; l < seeds.size(); ++l) {
          const double d =
              weight[l] * (std::pow(bent[0] - seeds[l][0], 2) + std::pow(bent[1] - seeds[l][1], 2) +
                           std::pow(bent[2] - seeds[l][2], 2));
          if (d >= nearest) continue;
          nearest = d;
          image.at(i, j, k) = int32_t(l) + 1;
        }
      }
  return image;
}

double peak_gib() { return static_cast<double>(mambaseg::peak_memory_bytes()) / (1 << 30); }

Json values_json(const std::vector<LabelScores>& scores) {
  Json json = Json::object();
  for (const LabelScores& label : scores)
    for (size_t m = 0; m < metrics().size(); ++m)
      json[std::to_string(label.label)][metrics()[m].name] =
          label.values[m] ? Json(*label.values[m]) : Json();
  return json;
}

struct Settings {
  std::string folder;
  int64_t size = 256;
  int labels = 32;
  std::set<int> threads{1, 2, int(std::max(2U, std::thread::hardware_concurrency()))};
  bool stray = false, json = false;
};

void run(const Settings& settings) {
  const int64_t size = settings.size;
  const Volume<int32_t> reference = brain_like(size, settings.labels, 0);
  Volume<int32_t> prediction = brain_like(size, settings.labels, 0.35);
  if (settings.stray) {
    Random random(9);
    for (int v = 0; v < 20 * settings.labels; ++v)
      prediction.voxels[size_t(random.below(int64_t(prediction.voxels.size())))] = 1 + v % settings.labels;
  }
  const std::vector<int32_t> labels = labels_in(reference);
  ScoreOptions options;
  for (const Metric& metric : metrics()) options.metrics.push_back(&metric);
  const std::string name = std::to_string(size) + "^3 voxels, " + std::to_string(labels.size()) +
                           " labels, " + std::to_string(metrics().size()) + " metrics" +
                           (settings.stray ? ", stray voxels" : "");
  if (!settings.json) std::printf("%s\n", name.c_str());
  Json rows = Json::array();
  std::vector<LabelScores> scores;
  double seconds = 0;
  for (const int threads : settings.threads) {
    options.threads = threads;
    forget_peak_memory();
    double best = 1e9;
    for (int repeat = 0; repeat < 3; ++repeat) {
      const auto start = std::chrono::steady_clock::now();
      scores = compare_labels(reference, prediction, labels, options);
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    for (const auto& [what, unit, value] :
         {std::tuple{"", "s", best}, std::tuple{", largest memory", "GiB", peak_gib()}})
      rows.push_back({{"case", name + what},
                      {"unit", unit},
                      {"ours", value},
                      {"reference", Json()},
                      {"threads", threads}});
    if (!settings.json)
      std::printf("threads %d  %.3f s  %.1f million voxels/s  peak %.2f GiB\n", threads, best,
                  double(reference.voxels.size()) / best / 1e6, peak_gib());
    std::fflush(stdout);
    seconds = best;
  }
  if (settings.json) std::printf("%s\n", rows.dump(1).c_str());
  const std::string& folder = settings.folder;
  if (folder.empty()) return;
  write_labels(folder + "/reference.nii", reference);
  write_labels(folder + "/prediction.nii", prediction);
  const Json values{{"seconds", seconds}, {"labels", values_json(scores)}};
  write_file_atomically(folder + "/values.json", values.dump() + "\n");
}

}  // namespace
}  // namespace mambaseg

int main(int argc, char** argv) {
  CLI::App app{"Times all metrics on a pair of label images"};
  mambaseg::Settings settings;
  app.add_option("folder", settings.folder, "Where to write the pair and the values")
      ->check(CLI::ExistingDirectory);
  app.add_option("--size", settings.size, "Edge in voxels")->check(CLI::Range(16, 512));
  app.add_option("--labels", settings.labels, "Labels of the drawn pair")->check(CLI::Range(1, 1000));
  app.add_option("--threads", settings.threads, "Numbers of threads")->check(CLI::PositiveNumber);
  app.add_flag("--stray", settings.stray, "Scatter voxels of every label over the prediction");
  app.add_flag("--json", settings.json, "Print a JSON array");
  CLI11_PARSE(app, argc, argv);
  mambaseg::run(settings);
  return 0;
}

#pragma once

#include <torch/types.h>

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace mambaseg {

/// Seconds that `work` takes; on a GPU until it has done all that it was given.
double seconds(const std::function<void()>& work);
double seconds(torch::Device device, const std::function<void()>& work);

/// "cpu" or "cuda"; ends the program with a message where there is no GPU. fp32 is then fp32 and not TF32.
torch::Device device_named(const std::string& name);

/// The smallest of `runs` calls of once(), which returns seconds.
double best_of(int runs, const std::function<double()>& once);

/// What one case gave. "ours" and "reference" (0: none) are rates in `unit`.
struct Measurement {
  std::string name, unit;
  double ours = 0, reference = 0;
  double max_error = 0;  ///< relative, of ours
  int threads = 1;
  std::string target;  ///< of ours, as SimdTarget names it
};

/// What a benchmark is asked for: --json, --filter TEXT (cases whose name contains it), --threads N...,
/// --device cpu or cuda (where there is one number of threads).
struct MeasurementOptions {
  bool json = false;
  std::string filter;
  std::vector<int> threads{1, 2};
  torch::Device device = torch::kCPU;

  bool wants(const std::string& name) const { return name.find(filter) != std::string::npos; }
};

/// Reads the command line, with the options that `add` names besides; ends the program with a message when it
/// makes no sense.
MeasurementOptions read_options(
    int argc, char** argv, const char* description,
    const std::function<void(CLI::App&)>& add = [](CLI::App&) {});

/// Prints a line for each measurement when it comes, or with json an array when it is done. A measurement
/// whose error is above its bound is reported on stderr, and finish() then returns 1.
class MeasurementTable {
 public:
  explicit MeasurementTable(bool json) : json_(json) {}
  void add(const Measurement& measurement, double error_bound);
  int finish() const;

 private:
  bool json_;
  bool correct_ = true;
  std::vector<Measurement> measurements_;
};

}  // namespace mambaseg

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mambaseg/report/evaluation.h"
#include "mambaseg/stats/wilcoxon.h"

namespace mambaseg {

/// A set of predictions under a name.
struct Method {
  std::string name;
  Evaluation evaluation;
};

/// One metric of two methods over the cases that both have.
struct PairedTest {
  size_t first = 0, second = 0;  ///< positions in Comparison::methods
  std::string metric;
  std::optional<int32_t> label;  ///< none: the mean over the labels of each case
  int64_t cases = 0;
  double first_mean = 0, second_mean = 0;
  double difference = 0;                  ///< mean of first - second
  std::array<double, 2> difference_ci{};  ///< bootstrap (stats/bootstrap.h)
  WilcoxonResult test;                    ///< two-sided, ties and zeros by permutation where that is possible
  double p_holm = 1;                      ///< over all labels and pairs of methods of this metric
};

struct Comparison {
  std::vector<Method> methods;
  std::vector<std::string> left_out;  ///< cases that some method lacks
  std::vector<PairedTest> overall;    ///< one for each metric and pair of methods
  std::vector<PairedTest> by_label;
};

/// Tests every pair of methods on every score and distance (a measure has no better and worse). A label that
/// the reference lacks and one method rightly leaves out counts as perfect for that method when the other one
/// predicts it. Throws Error when fewer than two methods, no case in common, or labels and metrics that
/// differ.
Comparison compare_methods(std::vector<Method> methods, int threads = 1, uint64_t seed = 0);

Json comparison_json(const Comparison& comparison, const std::string& command, const std::string& version);

/// The overall tests for people.
std::string comparison_table(const Comparison& comparison, const std::vector<std::string>& metrics);

}  // namespace mambaseg

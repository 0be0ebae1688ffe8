// Statistics of paired samples, against SciPy (wilcoxon) and NumPy (Bland-Altman, with SciPy's quantile of
// Student's t, which for one degree is off by 2e-11: it is tan(0.475 pi)).

#include <cmath>
#include <sstream>

#include "mambaseg/core/error.h"
#include "mambaseg/stats/bland_altman.h"
#include "mambaseg/stats/wilcoxon.h"
#include "tests/golden_check/golden_case.h"

namespace mambaseg {
namespace {

constexpr double kRelative = 1e-10;

std::vector<double> values_of(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.to(torch::kDouble).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

/// Largest error of a list of values against a recorded tensor, relative to each value, or to the largest of
/// the list when it is an interval: the end that happens to lie near zero has no better absolute accuracy
/// than the other.
void compare(GoldenResult& result, const std::string& name, const torch::Tensor& expected,
             const std::vector<double>& values, bool interval = false) {
  const std::vector<double> recorded = values_of(expected);
  require(recorded.size() == values.size(), name, ": ", recorded.size(), " values recorded");
  double largest = 1e-300;
  for (const double value : recorded) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < values.size(); ++i) {
    const bool same = recorded[i] == values[i] || (std::isnan(recorded[i]) && std::isnan(values[i]));
    const double scale = interval ? largest : std::max(std::abs(recorded[i]), 1e-300);
    const double error = same ? 0 : std::abs(values[i] - recorded[i]) / scale;
    if (!(error <= kRelative)) {
      if (result.passed) result.remark = concat(name, ": expected ", recorded[i], ", got ", values[i]);
      result.passed = false;
    }
    result.error = std::max(result.error, error);
  }
}

/// "pratt.approx.cc.two-sided" as options.
WilcoxonOptions options_of(const std::string& name) {
  WilcoxonOptions options;
  std::istringstream words(name);
  for (std::string word; std::getline(words, word, '.');) {
    if (word == "wilcox")
      options.zeros = ZeroMethod::wilcox;
    else if (word == "pratt")
      options.zeros = ZeroMethod::pratt;
    else if (word == "zsplit")
      options.zeros = ZeroMethod::zsplit;
    else if (word == "auto")
      options.distribution = NullDistribution::automatic;
    else if (word == "approx")
      options.distribution = NullDistribution::normal;
    else if (word == "exact")
      options.distribution = NullDistribution::exact;
    else if (word == "cc")
      options.continuity_correction = true;
    else if (word == "two-sided")
      options.alternative = Alternative::two_sided;
    else if (word == "greater")
      options.alternative = Alternative::greater;
    else if (word == "less")
      options.alternative = Alternative::less;
    else
      throw Error(concat("unknown option of wilcoxon in ", name));
  }
  return options;
}

GoldenResult check_wilcoxon(const GoldenCase& golden) {
  const std::vector<double> x = values_of(golden.at("input.x")), y = values_of(golden.at("input.y"));
  GoldenResult result{true, 0, ""};
  for (const auto& [key, expected] : golden.tensors) {
    if (key.rfind("output.", 0) != 0) continue;
    const std::string name = key.substr(7);
    if (name == "brute_force_exact") {
      const auto p = [&](Alternative alternative) {
        return wilcoxon(x, y, {ZeroMethod::wilcox, NullDistribution::permutation, alternative}).p;
      };
      compare(result, name, expected,
              {p(Alternative::two_sided), p(Alternative::greater), p(Alternative::less)});
      continue;
    }
    const WilcoxonResult test = wilcoxon(x, y, options_of(name));
    compare(result, name, expected, {test.statistic, test.p});
  }
  return result;
}

GoldenResult check_bland_altman(const GoldenCase& golden) {
  const BlandAltman found = bland_altman(values_of(golden.at("input.a")), values_of(golden.at("input.b")));
  const std::map<std::string, std::vector<double>> values{
      {"bias", {found.bias}},
      {"sd", {found.sd}},
      {"limits", {found.limits[0], found.limits[1]}},
      {"bias_ci95", {found.bias_ci95[0], found.bias_ci95[1]}},
      {"loa_se", {found.limit_error}},
      {"percent_bias", {found.percent_bias}},
  };
  GoldenResult result{true, 0, ""};
  for (const auto& [key, expected] : golden.tensors) {
    if (key.rfind("output.", 0) != 0) continue;
    const auto value = values.find(key.substr(7));
    require(value != values.end(), golden.name, ": unknown output ", key);
    compare(result, key, expected, value->second, true);
  }
  return result;
}

constexpr GoldenCheck kChecks[] = {{"scipy.stats.wilcoxon", check_wilcoxon},
                                   {"Bland-Altman", check_bland_altman}};

}  // namespace

std::span<const GoldenCheck> stat_checks() { return kChecks; }

}  // namespace mambaseg

#include "mambaseg/stats/wilcoxon.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "mambaseg/core/error.h"
#include "mambaseg/stats/distributions.h"

namespace mambaseg {
namespace {

constexpr int64_t kExactPairs = 50, kPermutationPairs = 200;

/// Ranks from 1, ties share the mean of their ranks.
std::vector<double> mid_ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (size_t o = begin; o < end; ++o) ranks[order[o]] = 0.5 * double(begin + 1 + end);
    begin = end;
  }
  return ranks;
}

/// Probabilities of the sums 0, 1, ... of a random half of whole-numbered `weights`.
std::vector<double> subset_sum_probabilities(const std::vector<int64_t>& weights) {
  const int64_t total = std::accumulate(weights.begin(), weights.end(), int64_t{0});
  std::vector<double> probability(size_t(total) + 1, 0.0);
  probability[0] = 1;
  int64_t reached = 0;
  for (const int64_t weight : weights) {
    reached += weight;
    for (int64_t sum = reached; sum >= 0; --sum)
      probability[size_t(sum)] =
          0.5 * (probability[size_t(sum)] + (sum >= weight ? probability[size_t(sum - weight)] : 0.0));
  }
  return probability;
}

struct Tails {
  double lower = 1, upper = 1;
};

Tails tails_at(const std::vector<double>& probability, int64_t sum) {
  return {std::accumulate(probability.begin(), probability.begin() + sum + 1, 0.0),
          std::accumulate(probability.begin() + sum, probability.end(), 0.0)};
}

double p_of(const Tails& tails, Alternative alternative) {
  const double p = alternative == Alternative::greater ? tails.upper
                   : alternative == Alternative::less  ? tails.lower
                                                       : 2 * std::min(tails.lower, tails.upper);
  return std::clamp(p, 0.0, 1.0);
}

double exact_p(int64_t pairs, double w_plus, Alternative alternative) {
  std::vector<int64_t> ranks(static_cast<size_t>(pairs));
  std::iota(ranks.begin(), ranks.end(), 1);
  return p_of(tails_at(subset_sum_probabilities(ranks), int64_t(w_plus)), alternative);
}

/// Ranks are whole or half, so doubled they are whole. Zero differences have rank weight 0.
double permutation_p(const std::vector<double>& ranks, double w_plus, Alternative alternative) {
  std::vector<int64_t> doubled;
  for (const double rank : ranks) doubled.push_back(std::llround(2 * rank));
  return p_of(tails_at(subset_sum_probabilities(doubled), std::llround(2 * w_plus)), alternative);
}

/// Sum of t^3 - t over groups of t equal values.
double tie_sum(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  double sum = 0;
  for (size_t begin = 0; begin < values.size();) {
    size_t end = begin;
    while (end < values.size() && values[end] == values[begin]) ++end;
    const auto t = double(end - begin);
    sum += t * (t * t - 1);
    begin = end;
  }
  return sum;
}

double normal_p(const std::vector<double>& ranked, int64_t count, int64_t ranked_zeros, double statistic,
                const WilcoxonOptions& options) {
  const auto n = double(count), z0 = double(ranked_zeros);
  double mean = n * (n + 1) / 4, variance = n * (n + 1) * (2 * n + 1);
  if (options.zeros == ZeroMethod::pratt) {  // Cureton (1967)
    mean -= z0 * (z0 + 1) / 4;
    variance -= z0 * (z0 + 1) * (2 * z0 + 1);
  }
  variance = (variance - 0.5 * tie_sum(ranked)) / 24;
  double shift = 0;
  if (options.continuity_correction) {
    const double away = statistic - mean;
    shift = options.alternative == Alternative::greater ? 0.5
            : options.alternative == Alternative::less  ? -0.5
                                                        : 0.5 * double((away > 0) - (away < 0));
  }
  const double z = (statistic - mean - shift) / std::sqrt(variance);
  switch (options.alternative) {
    case Alternative::greater:
      return normal_upper_tail(z);
    case Alternative::less:
      return normal_upper_tail(-z);
    case Alternative::two_sided:
      break;
  }
  return 2 * normal_upper_tail(std::abs(z));
}

}  // namespace

WilcoxonResult wilcoxon(std::span<const double> x, std::span<const double> y,
                        const WilcoxonOptions& options) {
  require(x.size() == y.size(), "Wilcoxon test: expected pairs, got ", x.size(), " and ", y.size(),
          " values");
  std::vector<double> differences;
  int64_t zeros = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double d = x[i] - y[i];
    require(std::isfinite(d), "Wilcoxon test: pair ", i + 1, " is not finite");
    zeros += d == 0;
    differences.push_back(d);
  }
  NullDistribution distribution = options.distribution;
  if (distribution == NullDistribution::automatic)
    distribution =
        int64_t(differences.size()) <= kExactPairs ? NullDistribution::exact : NullDistribution::normal;
  if (distribution == NullDistribution::exact && zeros > 0) distribution = NullDistribution::normal;
  if (options.zeros == ZeroMethod::wilcox) std::erase(differences, 0.0);
  const auto count = int64_t(differences.size());
  if (distribution == NullDistribution::permutation && count > kPermutationPairs)
    distribution = NullDistribution::normal;

  std::vector<double> magnitudes;
  for (const double d : differences) magnitudes.push_back(std::abs(d));
  const std::vector<double> ranks = mid_ranks(magnitudes);
  WilcoxonResult result;
  result.pairs = count;
  std::vector<double> signed_ranks;  // of differences other than zero
  double zero_ranks = 0;
  for (size_t i = 0; i < differences.size(); ++i) {
    if (differences[i] > 0) result.w_plus += ranks[i];
    if (differences[i] < 0) result.w_minus += ranks[i];
    if (differences[i] == 0) {
      zero_ranks += ranks[i];
    } else {
      signed_ranks.push_back(ranks[i]);
    }
  }
  if (signed_ranks.empty()) {
    result.effect = std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  const double free_w_plus = result.w_plus;
  result.effect = (result.w_plus - result.w_minus) / (result.w_plus + result.w_minus);
  if (options.zeros == ZeroMethod::zsplit) {
    result.w_plus += zero_ranks / 2;
    result.w_minus += zero_ranks / 2;
  }
  result.statistic =
      options.alternative == Alternative::two_sided ? std::min(result.w_plus, result.w_minus) : result.w_plus;
  switch (distribution) {
    case NullDistribution::exact:
      result.p = exact_p(count, result.w_plus, options.alternative);
      break;
    case NullDistribution::permutation:  // half of the ranks of zeros is a constant: only the others change
                                         // sides
      result.p = permutation_p(signed_ranks, free_w_plus, options.alternative);
      break;
    default:
      result.p = normal_p(options.zeros == ZeroMethod::zsplit ? ranks : signed_ranks, count, zeros,
                          result.statistic, options);
  }
  return result;
}

}  // namespace mambaseg

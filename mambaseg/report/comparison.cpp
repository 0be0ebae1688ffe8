#include "mambaseg/report/comparison.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/core/workers.h"
#include "mambaseg/report/files.h"
#include "mambaseg/report/text_table.h"
#include "mambaseg/stats/bootstrap.h"
#include "mambaseg/stats/holm.h"

namespace mambaseg {
namespace {

/// Leaves in every method the cases that all have, in the same order; returns the names of the others.
std::vector<std::string> keep_common_cases(std::vector<Method>& methods) {
  std::map<std::string, size_t> seen;
  for (const Method& method : methods)
    for (const CaseScores& one : method.evaluation.cases) ++seen[one.files.name];
  std::vector<std::string> left_out;
  for (const auto& [name, count] : seen)
    if (count < methods.size()) left_out.push_back(name);
  for (Method& method : methods) {
    auto& cases = method.evaluation.cases;
    std::erase_if(cases, [&](const CaseScores& one) { return seen[one.files.name] < methods.size(); });
    std::sort(cases.begin(), cases.end(),
              [](const auto& a, const auto& b) { return a.files.name < b.files.name; });
    require(!cases.empty(), "the methods have no case in common");
  }
  return left_out;
}

struct Samples {
  std::vector<double> first, second;
};

/// The values of a label in a case for two methods; undefined for both, or perfect for the one that has
/// nothing to score while the other one invents the label.
bool paired_values(const Metric& metric, const std::optional<double>& a, const std::optional<double>& b,
                   double& first, double& second) {
  if (!a && !b) return false;
  const double perfect = metric.kind == Kind::score ? 1 : 0;
  first = a.value_or(perfect);
  second = b.value_or(perfect);
  return true;
}

Samples samples_of_label(const Evaluation& a, const Evaluation& b, size_t metric, size_t label) {
  Samples samples;
  for (size_t c = 0; c < a.cases.size(); ++c) {
    double first = 0, second = 0;
    if (!paired_values(*a.metrics[metric], a.cases[c].labels[label].values[metric],
                       b.cases[c].labels[label].values[metric], first, second))
      continue;
    samples.first.push_back(first);
    samples.second.push_back(second);
  }
  return samples;
}

Samples samples_of_cases(const Evaluation& a, const Evaluation& b, size_t metric) {
  Samples samples;
  for (size_t c = 0; c < a.cases.size(); ++c) {
    double first_sum = 0, second_sum = 0;
    int64_t count = 0;
    for (size_t l = 0; l < a.labels.size(); ++l) {
      double first = 0, second = 0;
      if (!paired_values(*a.metrics[metric], a.cases[c].labels[l].values[metric],
                         b.cases[c].labels[l].values[metric], first, second))
        continue;
      first_sum += first;
      second_sum += second;
      ++count;
    }
    if (count == 0) continue;
    samples.first.push_back(first_sum / double(count));
    samples.second.push_back(second_sum / double(count));
  }
  return samples;
}

PairedTest tested(const Samples& samples, uint64_t seed) {
  PairedTest out;
  out.cases = int64_t(samples.first.size());
  std::vector<double> differences;
  for (size_t i = 0; i < samples.first.size(); ++i)
    differences.push_back(samples.first[i] - samples.second[i]);
  out.first_mean = describe(samples.first).mean;
  out.second_mean = describe(samples.second).mean;
  out.difference = describe(differences).mean;
  out.difference_ci = bootstrap_mean(differences, {10000, 0.95, seed});
  out.test = wilcoxon(samples.first, samples.second, {ZeroMethod::wilcox, NullDistribution::permutation});
  if (out.cases == 0) out.test.p = std::nan("");
  return out;
}

/// Holm's correction within each metric.
void correct(std::vector<PairedTest>& tests) {
  std::map<std::string, std::vector<size_t>> by_metric;
  for (size_t t = 0; t < tests.size(); ++t) by_metric[tests[t].metric].push_back(t);
  for (const auto& [metric, members] : by_metric) {
    std::vector<double> p;
    for (const size_t t : members) p.push_back(tests[t].test.p);
    const std::vector<double> adjusted = holm(p);
    for (size_t i = 0; i < members.size(); ++i) tests[members[i]].p_holm = adjusted[i];
  }
}

/// Adds to every method the labels that only others have, as absent, so that all have the same list.
void unify_labels(std::vector<Method>& methods) {
  std::map<int32_t, LabelEntry> all;
  for (const Method& method : methods)
    for (const LabelEntry& entry : method.evaluation.labels) all.emplace(entry.id, entry);
  for (Method& method : methods) {
    Evaluation& e = method.evaluation;
    std::vector<LabelEntry> labels;
    for (const auto& [id, entry] : all) labels.push_back(entry);
    for (CaseScores& one : e.cases) {
      std::vector<LabelScores> scores;
      auto next = one.labels.begin();
      for (const LabelEntry& entry : labels) {
        if (next != one.labels.end() && next->label == entry.id) {
          scores.push_back(std::move(*next++));
          continue;
        }
        LabelScores absent;
        absent.label = entry.id;
        absent.values.resize(e.metrics.size());
        scores.push_back(std::move(absent));
      }
      one.labels = std::move(scores);
    }
    e.labels = std::move(labels);
  }
}

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json test_json(const Comparison& comparison, const PairedTest& test) {
  return {{"first", comparison.methods[test.first].name},
          {"second", comparison.methods[test.second].name},
          {"metric", test.metric},
          {"label", test.label ? Json(*test.label) : Json()},
          {"cases", test.cases},
          {"first_mean", number(test.first_mean)},
          {"second_mean", number(test.second_mean)},
          {"difference", number(test.difference)},
          {"difference_ci95", {number(test.difference_ci[0]), number(test.difference_ci[1])}},
          {"w_plus", test.test.w_plus},
          {"w_minus", test.test.w_minus},
          {"p", number(test.test.p)},
          {"p_holm", number(test.p_holm)},
          {"rank_biserial", number(test.test.effect)}};
}

}  // namespace

Comparison compare_methods(std::vector<Method> methods, int threads, uint64_t seed) {
  require(methods.size() >= 2, "a comparison needs at least two sets of predictions, got ", methods.size());
  const auto& metrics = methods[0].evaluation.metrics;
  for (const Method& method : methods)
    require(method.evaluation.metrics == metrics, "the methods were scored with different metrics");
  Comparison out;
  unify_labels(methods);
  out.left_out = keep_common_cases(methods);
  struct Job {
    size_t metric, first, second;
    std::optional<size_t> label;
  };
  std::vector<Job> jobs;
  for (size_t m = 0; m < metrics.size(); ++m) {
    if (metrics[m]->kind == Kind::measure) continue;
    for (size_t a = 0; a < methods.size(); ++a)
      for (size_t b = a + 1; b < methods.size(); ++b) {
        jobs.push_back({m, a, b, std::nullopt});
        for (size_t l = 0; l < methods[0].evaluation.labels.size(); ++l) jobs.push_back({m, a, b, l});
      }
  }
  std::vector<PairedTest> tests(jobs.size());
  run_jobs(int64_t(jobs.size()), threads, [&](int64_t j) {
    const Job& job = jobs[size_t(j)];
    const Evaluation &a = methods[job.first].evaluation, &b = methods[job.second].evaluation;
    PairedTest& test = tests[size_t(j)];
    test = tested(
        job.label ? samples_of_label(a, b, job.metric, *job.label) : samples_of_cases(a, b, job.metric),
        seed);
    test.first = job.first;
    test.second = job.second;
    test.metric = metrics[job.metric]->name;
    if (job.label) test.label = a.labels[*job.label].id;
  });
  for (PairedTest& test : tests) (test.label ? out.by_label : out.overall).push_back(std::move(test));
  correct(out.overall);
  correct(out.by_label);
  out.methods = std::move(methods);
  return out;
}

Json comparison_json(const Comparison& comparison, const std::string& command, const std::string& version) {
  Json overall = Json::array(), by_label = Json::array(), names = Json::object(), methods = Json::array();
  for (const PairedTest& test : comparison.overall) overall.push_back(test_json(comparison, test));
  for (const PairedTest& test : comparison.by_label) by_label.push_back(test_json(comparison, test));
  for (const LabelEntry& entry : comparison.methods[0].evaluation.labels)
    names[std::to_string(entry.id)] = entry.name;
  for (const Method& method : comparison.methods) methods.push_back(method.name);
  return {
      {"methods", methods},
      {"labels", names},
      {"overall", overall},
      {"by_label", by_label},
      {"cases", comparison.methods[0].evaluation.cases.size()},
      {"left_out", comparison.left_out},
      {"command", command},
      {"version", version},
      {"test",
       "Wilcoxon signed-rank, two-sided; zero differences left out; exact by permutation up to 200 pairs"},
      {"correction", "Holm, within a metric over pairs of methods (and labels)"}};
}

std::string comparison_table(const Comparison& comparison, const std::vector<std::string>& metrics) {
  std::vector<std::vector<std::string>> rows{
      {"metric", "methods", "cases", "means", "difference", "95 % interval", "p", "p (Holm)", "effect"}};
  for (const PairedTest& test : comparison.overall) {
    if (std::find(metrics.begin(), metrics.end(), test.metric) == metrics.end()) continue;
    const auto text = [](double value, int digits = 4) {
      return std::isfinite(value) ? short_number(value, digits) : std::string("-");
    };
    rows.push_back({test.metric,
                    comparison.methods[test.first].name + " - " + comparison.methods[test.second].name,
                    std::to_string(test.cases), text(test.first_mean) + ", " + text(test.second_mean),
                    text(test.difference), text(test.difference_ci[0]) + " to " + text(test.difference_ci[1]),
                    text(test.test.p, 3), text(test.p_holm, 3), text(test.test.effect, 3)});
  }
  return aligned_table(rows);
}

}  // namespace mambaseg

#include "cli/demo_scores.h"

#include <map>

#include <torch/utils.h>

#include "mambaseg/metrics/compare_labels.h"

namespace mambaseg {

std::vector<DemoScore> demo_scores(const Volume<int32_t>& reference, const Volume<int32_t>& prediction,
                                   const std::vector<std::pair<std::string, int32_t>>& structures) {
  ScoreOptions options;
  for (const char* name : {"Dice", "VS", "ASSD"}) options.metrics.push_back(&metric_by_name(name));
  options.threads = torch::get_num_threads();
  std::map<int32_t, size_t> positions;  // ascending, as compare_labels has it
  for (size_t s = 0; s < structures.size(); ++s) positions[structures[s].second] = s;
  std::vector<int32_t> labels;
  for (const auto& [number, position] : positions) labels.push_back(number);
  std::vector<DemoScore> scores(structures.size());
  DemoScore mean{"mean"};
  const double count = static_cast<double>(structures.size());
  for (const LabelScores& label : compare_labels(reference, prediction, labels, options)) {
    const size_t position = positions.at(label.label);
    const DemoScore score{structures[position].first, label.values[0].value_or(0),
                          label.values[1].value_or(0), label.values[2].value_or(0)};
    mean.dice += score.dice / count;
    mean.volume_similarity += score.volume_similarity / count;
    mean.assd_mm += score.assd_mm / count;
    scores[position] = score;
  }
  scores.push_back(mean);
  return scores;
}

Json json_of(const std::vector<DemoScore>& scores) {
  Json out = Json::object();
  for (const DemoScore& one : scores)
    out[one.structure] = {{"Dice", one.dice}, {"VS", one.volume_similarity}, {"ASSD", one.assd_mm}};
  return out;
}

}  // namespace mambaseg

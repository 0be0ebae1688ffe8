#include "mambaseg/report/files.h"

#include <cmath>
#include <cstdio>

#include "mambaseg/core/error.h"
#include "mambaseg/report/table_file.h"

namespace mambaseg {

std::string short_number(double value, int digits) {
  if (!std::isfinite(value)) return "";
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

std::string cases_csv(const Evaluation& evaluation) {
  std::vector<std::string> header{"case", "label", "name", "presence", "TP", "FP", "FN", "TN"};
  for (const Metric* metric : evaluation.metrics)
    header.push_back(metric->unit.empty() ? metric->name : metric->name + "_" + metric->unit);
  std::string text = csv_line(header);
  for (const CaseScores& one : evaluation.cases)
    for (size_t l = 0; l < one.labels.size(); ++l) {
      const LabelScores& label = one.labels[l];
      const Counts& c = label.counts;
      std::vector<std::string> cells{
          one.files.name,          std::to_string(label.label), evaluation.labels[l].name,
          to_text(label.presence), std::to_string(c.tp),        std::to_string(c.fp),
          std::to_string(c.fn),    std::to_string(c.tn)};
      for (const auto& value : label.values) cells.push_back(value ? short_number(*value, 10) : "");
      text += csv_line(cells);
    }
  return text;
}

std::string aseg_stats(const Evaluation& evaluation, const CaseScores& one) {
  std::string text = concat("# Title Segmentation Statistics\n#\n# subjectname ", one.files.name,
                            "\n# SegVolFile ", one.files.prediction, "\n# VoxelVolume_mm3 ",
                            short_number(one.voxel_volume_mm3), "\n# NRows ", one.labels.size(),
                            "\n# NTableCols 5\n", "# ColHeaders Index SegId NVoxels Volume_mm3 StructName\n");
  for (size_t l = 0; l < one.labels.size(); ++l) {
    const int64_t voxels = one.labels[l].counts.prediction();
    std::string name = evaluation.labels[l].name;
    for (char& letter : name)
      if (letter == ' ') letter = '-';
    char line[256];
    std::snprintf(line, sizeof line, "%3zu %5d %9lld %12.1f  %s\n", l + 1, one.labels[l].label,
                  (long long)voxels, double(voxels) * one.voxel_volume_mm3, name.c_str());
    text += line;
  }
  return text;
}

}  // namespace mambaseg

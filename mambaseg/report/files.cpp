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

std::string aseg_stats(const std::string& subject, const std::string& path, double voxel_volume_mm3,
                       const std::vector<StructureVolume>& structures) {
  std::string text =
      concat("# Title Segmentation Statistics\n#\n# subjectname ", subject, "\n# SegVolFile ", path,
             "\n# VoxelVolume_mm3 ", short_number(voxel_volume_mm3), "\n# NRows ", structures.size(),
             "\n# NTableCols 5\n", "# ColHeaders Index SegId NVoxels Volume_mm3 StructName\n");
  for (size_t s = 0; s < structures.size(); ++s) {
    const StructureVolume& one = structures[s];
    std::string name = one.name;
    for (char& letter : name)
      if (letter == ' ') letter = '-';
    char line[256];
    std::snprintf(line, sizeof line, "%3zu %5lld %9lld %12.1f  %s\n", s + 1, (long long)one.id,
                  (long long)one.voxels, double(one.voxels) * voxel_volume_mm3, name.c_str());
    text += line;
  }
  return text;
}

std::string aseg_stats(const Evaluation& evaluation, const CaseScores& one) {
  std::vector<StructureVolume> structures;
  for (size_t l = 0; l < one.labels.size(); ++l)
    structures.push_back({one.labels[l].label, evaluation.labels[l].name, one.labels[l].counts.prediction()});
  return aseg_stats(one.files.name, one.files.prediction, one.voxel_volume_mm3, structures);
}

}  // namespace mambaseg

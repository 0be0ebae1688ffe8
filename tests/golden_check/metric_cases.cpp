// Metrics of one binary or multi-label pair, against DeepMind's surface-distance, MONAI, medpy's formulas and
// nnU-Net.

#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/metrics/compare_labels.h"
#include "mambaseg/metrics/metric.h"
#include "tests/golden_check/golden_case.h"

namespace mambaseg {
namespace {

using Formula = double (*)(const LabelComparison&);

/// The metric whose formula a recorded value follows, and the error that its package allows.
struct Recorded {
  const char* name;
  const char* metric;
  double tolerance;
  bool relative = false;
};

constexpr double kOverlap = 1e-12, kDistance = 1e-9, kMonai = 1e-5;

constexpr Recorded kRecorded[] = {
    {"dice", "Dice", kOverlap},
    {"dm_dice", "Dice", kOverlap},
    {"iou", "IoU", kOverlap},
    {"precision", "precision", kOverlap},
    {"recall", "recall", kOverlap},
    {"specificity", "specificity", kOverlap},
    {"f2", "F2", kOverlap},
    {"volume_similarity", "VS", kOverlap},
    {"relative_volume_difference", "relative_volume_difference", kOverlap},
    {"hd", "HD", kDistance},
    {"hd95_pooled", "HD95", kDistance},
    {"hd95_max", "HD95_monai", kDistance},
    {"assd_pooled", "ASSD", kDistance},
    {"assd_mean_of_means", "ASSD_medpy", kDistance},
    {"asd_pred_to_gt", "ASD_prediction", kDistance},
    {"asd_gt_to_pred", "ASD_reference", kDistance},
    {"nsd_voxel", "NSD_monai", kDistance},
    {"dm_nsd", "NSD", kDistance},
    {"dm_hd100", "HD_deepmind", kDistance},
    {"dm_hd95", "HD95_deepmind", kDistance},
    {"monai_asd", "ASD_prediction", kMonai, true},
    {"monai_assd", "ASSD", kMonai, true},
    {"monai_hd", "HD", kMonai, true},
    {"monai_hd95", "HD95_monai", kMonai, true},
    {"monai_nsd", "NSD_monai", kMonai, true},
    {"monai_nsd_subvoxel", "NSD", kMonai, true},
};

Volume<int32_t> volume_of(const torch::Tensor& voxels, const torch::Tensor& spacing) {
  require(voxels.dim() == spacing.numel() && voxels.dim() >= 1 && voxels.dim() <= 3,
          "metric case: odd sizes");
  Geometry geometry;
  geometry.size = {1, 1, 1};
  for (int64_t axis = 0; axis < voxels.dim(); ++axis) {
    const auto to = size_t(voxels.dim() - 1 - axis);  // the last axis of a tensor is the fastest
    geometry.size[to] = voxels.size(axis);
    geometry.voxel_to_ras_mm.matrix[to][to] = spacing[axis].item<double>();
  }
  Volume<int32_t> volume(geometry);
  const torch::Tensor whole = voxels.to(torch::kInt).contiguous();
  std::copy_n(whole.data_ptr<int32_t>(), whole.numel(), volume.voxels.begin());
  return volume;
}

/// Collects the worst error in units of what is allowed.
class Verdict {
 public:
  void compare(const std::string& name, double expected, double value, double allowed,
               bool relative = false) {
    double error = std::abs(expected - value);
    if (relative) error /= std::max(1.0, std::abs(expected));
    if (std::isnan(expected) && std::isnan(value)) error = 0;
    if (expected == value) error = 0;  // both infinite
    if (error <= allowed) {
      result_.error = std::max(result_.error, error);
      return;
    }
    if (result_.passed) result_.remark = concat(name, ": expected ", expected, ", got ", value);
    result_.passed = false;
    result_.error = std::isnan(error) ? error : std::max(result_.error, error);
  }
  void fail(const std::string& remark) {
    result_.passed = false;
    result_.remark = remark;
  }
  GoldenResult result() const { return result_; }

 private:
  GoldenResult result_{true, 0, ""};
};

double scalar(const torch::Tensor& tensor, int64_t at = 0) {
  return tensor.to(torch::kDouble).flatten()[at].item<double>();
}

/// Compares one recorded output; false when its name is not known.
bool compare_output(const std::string& name, const torch::Tensor& expected, const LabelComparison& label,
                    Verdict& verdict) {
  const auto value = [&](const char* metric) { return metric_by_name(metric).formula(label); };
  for (const Recorded& recorded : kRecorded)
    if (name == recorded.name) {
      verdict.compare(name, scalar(expected), value(recorded.metric), recorded.tolerance, recorded.relative);
      return true;
    }
  const auto pair = [&](const char* reference, const char* prediction) {
    verdict.compare(name, scalar(expected, 0), value(reference), kDistance);
    verdict.compare(name, scalar(expected, 1), value(prediction), kDistance);
    return true;
  };
  if (name == "dm_asd_gt_pred") return pair("ASD_reference_deepmind", "ASD_prediction_deepmind");
  if (name == "dm_overlap_gt_pred") return pair("overlap_reference", "overlap_prediction");
  if (name != "tp_fp_fn_tn") return false;
  const Counts& c = label.counts;
  const int64_t counts[] = {c.tp, c.fp, c.fn, c.tn};
  for (int64_t i = 0; i < 4; ++i) verdict.compare(name, scalar(expected, i), double(counts[i]), 0);
  return true;
}

GoldenResult check_metrics(const GoldenCase& golden) {
  const Volume<int32_t> reference = volume_of(golden.at("input.gt"), golden.at("input.spacing"));
  const Volume<int32_t> prediction = volume_of(golden.at("input.pred"), golden.at("input.spacing"));
  const double tolerance_mm = scalar(golden.at("input.tolerance_mm"));
  std::map<int32_t, LabelComparison> compared;
  const auto label = [&](int32_t id) -> const LabelComparison& {
    const auto found = compared.find(id);
    return found != compared.end()
               ? found->second
               : compared.emplace(id, compare_label(reference, prediction, id, tolerance_mm)).first->second;
  };
  Verdict verdict;
  for (const auto& [key, expected] : golden.tensors) {
    if (key.rfind("output.", 0) != 0) continue;
    std::string name = key.substr(7);
    if (name == "mean_fg_dice") {
      double sum = 0;
      int count = 0;
      for (const int32_t id : labels_in(reference)) {
        sum += metric_by_name("Dice").formula(label(id));
        ++count;
      }
      verdict.compare(name, scalar(expected), sum / count, kOverlap);
      continue;
    }
    int32_t id = 1;
    if (name.rfind("label", 0) == 0) {
      id = std::stoi(name.substr(5));
      name = name.substr(name.find('_') + 1);
    }
    if (!compare_output(name, expected, label(id), verdict)) verdict.fail("unknown output " + name);
  }
  return verdict.result();
}

constexpr GoldenCheck kChecks[] = {{"Dice IoU precision recall F2 VS HD HD95 ASD ASSD NSD", check_metrics}};

}  // namespace

std::span<const GoldenCheck> metric_checks() { return kChecks; }

}  // namespace mambaseg

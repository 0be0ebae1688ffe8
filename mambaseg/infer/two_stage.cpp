#include "mambaseg/infer/two_stage.h"

#include "mambaseg/core/error.h"
#include "mambaseg/data/interpolate.h"
#include "mambaseg/infer/small_components.h"

namespace mambaseg {
namespace {

constexpr double kLeastShare = 0.1;  ///< smaller components would widen the region for nothing

std::string words(const std::vector<int64_t>& labels) {
  std::string out;
  for (const int64_t label : labels) out += (out.empty() ? "" : ", ") + std::to_string(label);
  return out;
}

int64_t bytes_of(const std::vector<Image>& channels) {
  size_t sum = 0;
  for (const Image& one : channels)
    sum += std::visit([](const auto& v) { return v.size() * sizeof(v[0]); }, one.voxels);
  return static_cast<int64_t>(sum);
}

}  // namespace

TwoStage::TwoStage(Predictor first, std::optional<Predictor> second)
    : first_(std::move(first)), second_(std::move(second)) {
  if (first_.plan().region != "brain")
    throw UsageError("prediction: the model works around labels of an earlier stage (" +
                     words(first_.plan().region_labels) + "); give the model of that stage first");
  if (second_ && second_->plan().region != "labels")
    throw UsageError("prediction: the second model does not work around labels of the first");
}

TwoStage TwoStage::load(const std::vector<std::string>& paths, const PredictorSettings& settings) {
  std::vector<std::string> first, second;
  for (const std::string& path : paths)
    (read_model_info(path).plan.value("region", "brain") == "labels" ? second : first).push_back(path);
  if (first.empty())
    throw UsageError(
        paths.front() +
        ": this model works around labels of an earlier stage; give the model of that stage as well");
  std::optional<Predictor> later;
  if (!second.empty()) later = Predictor::load(second, settings);
  return TwoStage(Predictor::load(first, settings), std::move(later));
}

StagedCase TwoStage::prepare(std::vector<Image> channels, const Warn& warn) const {
  StagedCase one;
  one.prepared = prepare_images(channels, first_.plan(), warn);
  if (second_) one.channels = std::move(channels);
  return one;
}

CaseLabels TwoStage::run_prepared(StagedCase one, const Progress& progress, const Warn& warn,
                                  const Warn& note, const ScoreResampler::Slice& slice) {
  const auto tell = [](const Warn& where, const std::string& line) {
    if (where && !line.empty()) where(line);
  };
  PreparedImage& prepared = one.prepared;
  std::vector<Image>& channels = one.channels;
  const Work work = first_.plan_work(prepared, bytes_of(channels));
  tell(note, describe(work, first_.plan(), first_.step()));
  tell(note, first_.settle_precision(prepared, work));
  CaseLabels out;
  if (!second_) {
    out.first = first_.labels(std::move(prepared), work, progress, slice);
    return out;
  }
  require(!slice, "prediction: class probabilities are written for one stage only");
  // The second stage looks for its region on the grid of the first.
  Volume<int32_t> labels = first_.classes(prepared, work, progress);
  out.first = classes_to_labels(labels, prepared.input, first_.plan());
  labels = classes_to_labels(labels, labels.geometry, first_.plan());
  prepared = {};
  auto second_image = prepare_images(channels, second_->plan());
  channels.clear();
  // Left and right hippocampus are two components, of about one size.
  labels = without_strays(labels, second_->plan().region_labels, kLeastShare);
  const auto region = label_box(resample_labels(labels, second_image.image.geometry), {1});
  labels = {};
  if (!region) {
    tell(warn, "the first stage found none of the labels " + words(second_->plan().region_labels) +
                   ": the second stage is skipped");
    return out;
  }
  const auto held = static_cast<int64_t>(out.first.voxels.size() * sizeof(int32_t));
  const Work second_work = second_->plan_work(second_image, *region, held);
  tell(note, "second stage: " + describe(second_work, second_->plan(), second_->step()));
  tell(note, second_->settle_precision(second_image, second_work));
  out.second = second_->labels(std::move(second_image), second_work, progress);
  return out;
}

}  // namespace mambaseg

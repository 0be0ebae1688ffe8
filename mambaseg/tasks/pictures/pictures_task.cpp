#include "mambaseg/tasks/pictures/pictures_task.h"

#include "mambaseg/core/error.h"
#include "mambaseg/data/declared_labels.h"
#include "mambaseg/tasks/pictures/picture_case.h"
#include "mambaseg/tasks/pictures/picture_labels.h"
#include "mambaseg/tasks/pictures/predict_pictures.h"

namespace mambaseg {

void PicturesTask::check() const { check_plan(plan); }

void PicturesTask::take_labels(const DatasetSettings& dataset) {
  LabelSettings declared = plan;
  take_declared_labels(declared, dataset);
  // One label and no table is a mask of one structure, whatever its value.
  if (declared.classes.size() > 1 || declared.ignore_label != 0) static_cast<LabelSettings&>(plan) = declared;
}

LearnedLabels PicturesTask::labels() const {
  const PictureLabels labels(plan);
  return {labels.names(), labels.scheme().structures(), labels.scheme().regions(), labels.scheme().ignores()};
}

Json PicturesTask::network() const {
  return {{"classes", PictureLabels(plan).score_maps()}, {"in_channels", plan.channels}};
}

Preparation PicturesTask::preparation() const { return picture_preparation(plan); }

std::unique_ptr<SampleSource> PicturesTask::sampler(const PreparedCase& one) const {
  return std::make_unique<PictureSampler>(one, augment);
}

torch::Tensor PicturesTask::predict(Network& network, const PreparedCase& one, torch::Device device) const {
  const torch::NoGradGuard no_grad;
  const PictureLabels labels(plan);
  const auto x = (one.image_CIJK.to(torch::kFloat32) * one.scale).unsqueeze(0).to(device);
  const auto votes = labels.votes(network.forward(x)[0].to(torch::kFloat32));
  return labels.decide(votes.squeeze(0)).to(torch::kCPU);
}

PlanAnswer PicturesTask::plan_experiment(const PlanRequest& request) const {
  PlanAnswer answer;
  answer.problems = problems_of_pictures(request.cases, plan, request.progress);
  answer.lines = {concat(request.cases.size(),
                         " pictures and masks can be read; pictures need no plan, train takes the recipe")};
  return answer;
}

void PicturesTask::predict_files(const PredictRequest& request, const Listeners& listeners) const {
  predict_pictures(request, listeners);
}

}  // namespace mambaseg

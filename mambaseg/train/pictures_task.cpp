#include "mambaseg/data/picture_case.h"
#include "mambaseg/train/task.h"

namespace mambaseg {

Task pictures_task(const RunSettings& settings) {
  const PicturePlan& plan = settings.pictures;
  check_plan(plan);
  Task task;
  task.plan = to_json(plan);
  task.structures = {plan.structure};
  task.classes_of = {{1}};
  task.network = {{"classes", 1}, {"in_channels", plan.channels}};
  task.input_edges = plan.size;
  task.preparation = picture_preparation(plan);
  task.sampler = [augment = settings.picture_augment](const PreparedCase& one) {
    return std::make_unique<PictureSampler>(one, augment);
  };
  task.predict = [threshold = plan.threshold](Network& network, const PreparedCase& one,
                                              torch::Device device) {
    const torch::NoGradGuard no_grad;
    const auto x = (one.image_CIJK.to(torch::kFloat32) * one.scale).unsqueeze(0).to(device);
    const auto p = torch::sigmoid(network.forward(x)[0].to(torch::kFloat32));
    return (p >= threshold).squeeze(0).squeeze(0).to(torch::kCPU, torch::kUInt8);
  };
  return task;
}

}  // namespace mambaseg

#include "mambaseg/tasks/pictures/picture_predictor.h"

#include "mambaseg/infer/ensemble.h"
#include "mambaseg/tasks/pictures/picture_case.h"

namespace mambaseg {

PicturePredictor::PicturePredictor(std::vector<Model> models, PicturePlan plan, torch::Device device,
                                   Precision precision)
    : models_(std::move(models)),
      plan_(std::move(plan)),
      labels_(plan_),
      device_(device),
      precision_(precision) {
  require(!models_.empty(), "prediction: expected at least one model");
  check_plan(plan_);
  for (const Model& model : models_) {
    const int64_t classes = model.info.network.value("classes", int64_t{1});
    const int64_t channels = model.info.network.value("in_channels", plan_.channels);
    if (classes != labels_.score_maps() || channels != plan_.channels)
      throw UsageError(concat("prediction: expected a network of ", plan_.channels, " channels and ",
                              labels_.score_maps(), " maps of scores, got ", channels, " and ", classes));
    if (const std::string why = model.network->misfit(plan_.size); !why.empty())
      throw UsageError(concat("prediction: the size of the plan does not fit the network: ", why));
    model.network->eval();
    model.network->to(device_);
  }
}

PicturePredictor PicturePredictor::load(const std::vector<std::string>& paths, torch::Device device,
                                        Precision precision, int64_t quarter_from) {
  std::vector<Model> models = load_ensemble(paths, device, quarter_from);
  return with_context(paths.front(), [&] {
    const auto plan = from_json<PicturePlan>(models.front().info.plan, "plan");
    return PicturePredictor(std::move(models), plan, device, precision);
  });
}

void PicturePredictor::check(const PictureChannels& picture) const { check_channels(picture, plan_); }

std::string PicturePredictor::settle_precision(const std::vector<PictureChannels>& pictures) {
  const PrecisionChoice choice = choose_precision(
      precision_,
      [&](Precision precision) {
        precision_ = precision;
        std::vector<torch::Tensor> masks;
        for (const torch::Tensor& votes_KYX : votes(pictures))
          masks.push_back(labels_.decide(votes_KYX).flatten());
        return torch::cat(masks);
      },
      arithmetic_of(device_));
  precision_ = choice.precision;
  return choice.reason.empty() ? choice.reason : "precision " + choice.reason;
}

std::vector<torch::Tensor> PicturePredictor::votes(const std::vector<PictureChannels>& pictures) const {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> inputs;
  for (const PictureChannels& picture : pictures) inputs.push_back(network_input(picture, plan_));
  const auto x = (torch::stack(inputs).to(torch::kFloat32) * (1.0f / 255)).to(device_);
  torch::Tensor sum;
  for (const Model& model : models_) {
    const auto votes = labels_.votes(scores_in(precision_, *model.network, x));
    sum = sum.defined() ? sum + votes : votes;
  }
  const auto mean = (sum / static_cast<double>(models_.size())).to(torch::kCPU);
  std::vector<torch::Tensor> maps;
  for (size_t i = 0; i < pictures.size(); ++i) {
    std::vector<torch::Tensor> at_size;
    for (const torch::Tensor& map_YX : mean[static_cast<int64_t>(i)].unbind(0))
      at_size.push_back(resized(map_YX, pictures[i][0].height, pictures[i][0].width));
    maps.push_back(torch::stack(at_size));
  }
  return maps;
}

Picture grey_picture(const torch::Tensor& map_YX) {
  const auto bytes = (map_YX * 255).round().clamp(0, 255).to(torch::kUInt8).contiguous();
  const auto* begin = bytes.data_ptr<uint8_t>();
  return {bytes.size(1), bytes.size(0), 1, {begin, begin + bytes.numel()}};
}

}  // namespace mambaseg

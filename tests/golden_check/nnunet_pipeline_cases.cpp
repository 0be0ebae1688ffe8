// nnU-Net around the network: resampling, cropping, intensities, window steps and weights, learning rate.

#include <cmath>
#include <regex>

#include "mambaseg/data/crop.h"
#include "mambaseg/data/intensity.h"
#include "mambaseg/data/nonzero_mask.h"
#include "mambaseg/data/resize.h"
#include "mambaseg/data/tensor_volume.h"
#include "mambaseg/infer/importance.h"
#include "mambaseg/train/schedule.h"
#include "tests/golden_check/pipeline_findings.h"

namespace mambaseg {
namespace {

Geometry grid_of(const torch::Tensor& values_IJK) {
  Geometry grid;
  grid.size = {values_IJK.size(0), values_IJK.size(1), values_IJK.size(2)};
  return grid;
}

Volume<float> channel(const torch::Tensor& values_CIJK, int64_t c) {
  return volume_from_tensor(values_CIJK[c], grid_of(values_CIJK[c]));
}

Volume<int32_t> label_channel(const torch::Tensor& values_CIJK) {
  return labels_from_tensor(values_CIJK[0], grid_of(values_CIJK[0]));
}

Vector3 vector3(const Json& list) { return {list[0], list[1], list[2]}; }

GoldenResult check_resampling(const GoldenCase& g) {
  constexpr double kOfPeak = 5e-5, kTies = 1e-3;  // the file's tolerance
  PipelineFindings found;
  const Vector3 from = vector3(g.args.at("current_spacing")), to = vector3(g.args.at("new_spacing"));
  const torch::Tensor& data = g.at("input.data");
  const Index3 size = resized_size(index3(g.args.at("shape")), from, to);
  const auto separate = separate_axis(from, to);
  found.equal("new_shape", g.at("output.new_shape"), size_tensor(size));
  found.equal("do_separate_z_axis", g.at("output.do_separate_z_axis"),
              torch::tensor({int64_t{separate.has_value()}, int64_t{separate.value_or(-1)}}));
  for (const int order : {1, 3}) {
    const torch::Tensor& expected = g.at(concat("output.data_o", order));
    std::vector<torch::Tensor> channels;
    for (int64_t c = 0; c < expected.size(0); ++c)
      channels.push_back(tensor_from_volume(resized(channel(data, c), size, order, separate)));
    found.near(concat("order ", order), expected, torch::stack(channels),
               kOfPeak * data.abs().max().item<double>());
  }
  const auto labels = resized_labels(label_channel(g.at("input.seg")), size, separate);
  found.mostly_equal("seg", g.at("output.seg_o1")[0], tensor_from_volume(labels), kTies);
  return found.result();
}

GoldenResult check_crop(const GoldenCase& g) {
  PipelineFindings found;
  const torch::Tensor& data = g.at("input.data");
  std::vector<Volume<float>> channels;
  for (int64_t c = 0; c < data.size(0); ++c) channels.push_back(channel(data, c));
  const Volume<uint8_t> mask = nonzero_mask(channels);
  Volume<int32_t> mask_labels(mask.geometry);
  mask_labels.voxels.assign(mask.voxels.begin(), mask.voxels.end());
  const torch::Tensor mask_IJK = tensor_from_volume(mask_labels);
  found.equal("nonzero_mask", g.at("output.nonzero_mask").to(torch::kInt64), mask_IJK);
  const Box box = nonzero_box(mask).value();
  auto bounds = torch::empty({3, 2}, torch::kInt64);
  for (int axis = 0; axis < 3; ++axis) bounds[axis][0] = box.start[axis], bounds[axis][1] = box.end(axis);
  const torch::Tensor outside = cut_box(mask_IJK, box) == 0;
  for (const std::string with : {"with_seg_", "no_seg_"}) {
    found.equal(with + "bbox", g.at("output." + with + "bbox"), bounds);
    std::vector<torch::Tensor> cut;
    for (int64_t c = 0; c < data.size(0); ++c) cut.push_back(cut_box(data[c], box));
    found.equal(with + "data", g.at("output." + with + "data"), torch::stack(cut));
    const torch::Tensor seg = with == "no_seg_" ? torch::zeros_like(outside, torch::kInt64)
                                                : cut_box(g.at("input.seg")[0].to(torch::kInt64), box);
    found.equal(with + "seg", g.at("output." + with + "seg")[0], seg.masked_fill(outside & (seg == 0), -1));
  }
  return found.result();
}

std::vector<float> floats_of(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.to(torch::kFloat32).contiguous().view(-1);
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

GoldenResult check_normalisation(const GoldenCase& g) {
  constexpr double kTolerance = 1e-4;
  PipelineFindings found;
  const torch::Tensor& image = g.at("input.image");
  std::vector<uint8_t> mask;
  for (const float label : floats_of(g.at("input.seg"))) mask.push_back(label >= 0);
  const Json& ct = g.args.at("intensityproperties");
  const CtIntensities intensities{ct.at("mean"), ct.at("std"), ct.at("percentile_00_5"),
                                  ct.at("percentile_99_5")};
  const auto compare = [&](const char* name, std::vector<float> values, const auto& change) {
    change(values);
    found.near(name, g.at(std::string("output.") + name).flatten(), torch::tensor(values), kTolerance);
  };
  compare("zscore_mask", floats_of(image), [&](auto& v) { z_score(v, mask); });
  compare("zscore_nomask", floats_of(image), [](auto& v) { z_score(v); });
  compare("constant", std::vector<float>(static_cast<size_t>(image.numel()), 3), [](auto& v) { z_score(v); });
  compare("ct", floats_of(image), [&](auto& v) { normalise_ct(v, intensities); });
  compare("rescale01", floats_of(image), [](auto& v) { rescale_to_unit(v); });
  compare("rgb01", floats_of(image.abs()), [](auto& v) { bytes_to_unit(v); });
  return found.result();
}

GoldenResult check_gaussian(const GoldenCase& g) {
  constexpr double kRelative = 1e-5, kHalfUnit = 1.0 / 1024;  // one unit in the last place of float16
  PipelineFindings found;
  const Json& cases = g.args.at("tile_scaling_sigma");
  for (size_t i = 0; i < cases.size(); ++i)
    for (const auto& [name, type] :
         {std::pair{"f64", torch::kFloat64}, {"f32", torch::kFloat32}, {"f16", torch::kFloat16}}) {
      const torch::Tensor expected = g.at(concat("output.", name, "_", i)).to(torch::kFloat64);
      const torch::Tensor weights =
          gaussian_importance(cases[i][0].get<std::vector<int64_t>>(), cases[i][2], cases[i][1], type);
      found.near(concat(name, " ", i), torch::ones_like(expected), weights.to(torch::kFloat64) / expected,
                 type == torch::kFloat16 ? kHalfUnit : kRelative);
    }
  return found.result();
}

GoldenResult check_window_steps(const GoldenCase& g) {
  PipelineFindings found;
  const Json& cases = g.args.at("image_tile_step");
  for (size_t i = 0; i < cases.size(); ++i)
    for (size_t axis = 0; axis < cases[i][0].size(); ++axis)
      found.equal(concat("steps ", i, " ", axis), g.at(concat("output.steps_", i, "_", axis)),
                  torch::tensor(spread_positions(cases[i][0][axis], cases[i][1][axis], cases[i][2])));
  return found.result();
}

/// The settings are words, as "0.02, 30, 0.9" or "lr 0.01 max 1000 exp 0.9, every 37th step".
GoldenResult check_poly_rate(const GoldenCase& g) {
  constexpr double kTolerance = 1e-12;
  PipelineFindings found;
  for (const auto& [name, words] : g.args.items()) {
    const auto text = words.get<std::string>();
    const std::regex number("[0-9][0-9.]*(e-?[0-9]+)?");
    std::vector<double> values;
    for (std::sregex_iterator match(text.begin(), text.end(), number), end; match != end; ++match)
      values.push_back(std::stod(match->str()));
    found.require(values.size() >= 3, name + ": " + text);
    ScheduleSettings schedule;
    schedule.kind = "poly";
    schedule.power = values.at(2);
    const double every = values.size() > 3 ? values[3] : 1;
    const torch::Tensor& expected = g.at("output." + name);
    std::vector<double> rates;
    for (int64_t i = 0; i < expected.numel(); ++i)
      rates.push_back(learning_rate(schedule, values[0], every * static_cast<double>(i),
                                    static_cast<int64_t>(values[1])));
    found.near(name, expected, torch::tensor(rates, torch::kFloat64), kTolerance);
    found.near(name + " at the start", g.at("output." + name + "_initial"),
               torch::tensor({values[0]}, torch::kFloat64), kTolerance);
  }
  return found.result();
}

constexpr GoldenCheck kChecks[] = {
    {"resample_data_or_seg_to_shape, compute_new_shape, determine_do_sep_z_and_axis", check_resampling},
    {"crop_to_nonzero, create_nonzero_mask", check_crop},
    {"ZScoreNormalization, CTNormalization, RescaleTo01, RGBTo01", check_normalisation},
    {"compute_gaussian", check_gaussian},
    {"compute_steps_for_sliding_window", check_window_steps},
    {"PolyLRScheduler", check_poly_rate},
};

}  // namespace

std::span<const GoldenCheck> nnunet_pipeline_checks() { return kChecks; }

}  // namespace mambaseg

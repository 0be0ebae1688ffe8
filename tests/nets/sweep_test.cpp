// What must hold for every network of the list.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <torch/cuda.h>

#include "mambaseg/nets/layers/dropping.h"
#include "mambaseg/nets/model/checkpoint.h"
#include "mambaseg/nets/model/weights.h"
#include "mambaseg/ops/autocast.h"
#include "mambaseg/ops/plain_libtorch.h"
#include "tests/io/temporary_folder.h"
#include "tests/nets/steadiness.h"

namespace mambaseg {
namespace {

constexpr double kBf16Error = 0.2;  // numbers of 8 bits through some tens of layers with random weights

class EveryNetwork : public testing::TestWithParam<size_t> {
 protected:
  const NetworkEntry& entry() const { return networks()[GetParam()]; }

  Json small_config() const {
    Json config = entry().small;
    config["name"] = entry().name;
    return config;
  }
  int64_t edge() const { return entry().small_edge; }

  /// A batch of two whose spatial sizes differ: `edge`, then one and two allowed steps more.
  torch::Tensor input(const Network& network, int dims) const {
    const Json settings = entry().settings();
    Json small = small_config();
    const int64_t channels = small.value("in_channels", settings.at("in_channels").get<int64_t>());
    std::vector<int64_t> sizes{2, channels};
    const Extent multiples = network.size_multiples();
    for (int axis = 0; axis < dims; ++axis)
      sizes.push_back(edge() + axis * multiples.at(static_cast<size_t>(axis)));
    return torch::rand(sizes);
  }

  /// The small network for `dims` dimensions; networks of several have the setting "dims".
  std::shared_ptr<Network> make(int dims, Json* config = nullptr) const {
    Json settings = small_config();
    if (entry().dims.size() > 1) settings["dims"] = dims;
    if (config != nullptr) *config = settings;
    torch::manual_seed(3);
    return make_network(settings);
  }
};

TEST_P(EveryNetwork, GivesScoresOfTheSizeOfItsInput) {
  for (const int dims : entry().dims) {
    Json config;
    const auto network = make(dims, &config);
    network->eval();
    const torch::NoGradGuard no_grad;
    const torch::Tensor x = input(*network, dims);
    const std::vector<torch::Tensor> out = network->forward(x);
    ASSERT_EQ(out.size(), 1u);
    std::vector<int64_t> expected = x.sizes().vec();
    expected[1] = config.value("classes", entry().settings().at("classes").get<int64_t>());
    EXPECT_EQ(out[0].sizes().vec(), expected);
    EXPECT_TRUE(torch::isfinite(out[0]).all().item<bool>());
  }
}

TEST_P(EveryNetwork, EveryParameterGetsAFiniteGradient) {
  for (const int dims : entry().dims) {
    const auto network = make(dims);
    network->train();
    torch::Tensor loss = torch::zeros({});
    for (const torch::Tensor& scores : network->forward(input(*network, dims)))
      loss = loss + (scores * torch::rand_like(scores)).sum();
    loss.backward();
    for (const auto& parameter : network->named_parameters()) {
      ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
      EXPECT_TRUE(torch::isfinite(parameter.value().grad()).all().item<bool>()) << parameter.key();
    }
  }
}

TEST_P(EveryNetwork, SavedAndLoadedGivesTheSameScores) {
  const TemporaryFolder folder;
  for (const int dims : entry().dims) {
    Json config;
    const auto network = make(dims, &config);
    network->eval();
    save_model(folder / "model.safetensors", *network,
               {config, Json::object(), Json::object(), Json::object()});
    torch::manual_seed(4);
    const Model model = load_model(folder / "model.safetensors");
    const torch::NoGradGuard no_grad;
    const torch::Tensor x = input(*network, dims);
    EXPECT_TRUE(torch::equal(network->forward(x)[0], model.network->forward(x)[0]));
    EXPECT_FALSE(model.network->is_training());
  }
}

// Everybody else is compared below.
TEST_P(EveryNetwork, WhoIsLetOffAmplifiesRounding) {
  if (!is_let_off(entry().name)) return;
  for (const int dims : entry().dims) {
    const auto network = make(dims);
    network->eval();
    EXPECT_TRUE(amplifies_rounding(*network, input(*network, dims)));
  }
}

// The same sums in another order, through some tens of layers.
TEST_P(EveryNetwork, WithoutGradientGivesWhatPlainLibTorchGives) {
  for (const int dims : entry().dims) {
    const auto network = make(dims);
    network->eval();
    const torch::NoGradGuard no_grad;
    const torch::Tensor x = input(*network, dims), ours = network->forward(x)[0];
    if (is_let_off(entry().name)) GTEST_SKIP() << kAmplifies;
    const PlainLibTorchGuard plain;
    const torch::Tensor theirs = network->forward(x)[0];
    EXPECT_LE((ours - theirs).abs().max().item<double>(), 2e-4 * theirs.abs().max().item<double>());
  }
}

/// The gradients of the mean square of all scores in training. Random paths are off in the small settings;
/// dropout is switched off.
std::vector<torch::Tensor> gradients_of_a_step(Network& network, const torch::Tensor& x) {
  network.train();
  for (const auto& module : network.modules())
    if (dynamic_cast<Dropout*>(module.get()) != nullptr) module->eval();
  torch::Tensor loss;
  for (const torch::Tensor& scores : network.forward(x)) {
    const torch::Tensor part = scores.square().mean();
    loss = loss.defined() ? loss + part : part;
  }
  loss.backward();
  std::vector<torch::Tensor> gradients;
  for (const torch::Tensor& parameter : network.parameters()) gradients.push_back(parameter.grad());
  return gradients;
}

/// The root mean square of the difference, relative to that of `exact`, of all tensors together.
double relative_error(const std::vector<torch::Tensor>& found, const std::vector<torch::Tensor>& exact) {
  double difference = 0, whole = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    const torch::Tensor a = found[i].cpu().to(torch::kDouble), b = exact[i].to(torch::kDouble);
    difference += (a - b).square().sum().item<double>();
    whole += b.square().sum().item<double>();
  }
  return whole > 0 ? std::sqrt(difference / whole) : difference;
}

TEST_P(EveryNetwork, InBf16GivesNearlyTheScoresOfFp32) {
  for (const int dims : entry().dims) {
    const auto network = make(dims);
    network->eval();
    const torch::NoGradGuard no_grad;
    const torch::Tensor x = input(*network, dims);
    if (is_let_off(entry().name)) GTEST_SKIP() << kAmplifies;
    EXPECT_LE(relative_error(network->forward(x.to(torch::kBFloat16)), network->forward(x)), kBf16Error);
  }
}

TEST_P(EveryNetwork, OnTheGpuGivesTheScoresOfTheCpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU, or a LibTorch without CUDA";
  allow_tf32(false);
  for (const int dims : entry().dims) {
    const auto network = make(dims);
    network->eval();
    const torch::NoGradGuard no_grad;
    const torch::Tensor x = input(*network, dims), expected = network->forward(x)[0];
    if (is_let_off(entry().name)) GTEST_SKIP() << kAmplifies;
    network->to(torch::kCUDA);
    const torch::Tensor found = network->forward(x.to(torch::kCUDA))[0].cpu();
    EXPECT_LE((found - expected).abs().max().item<double>(), 2e-4 * expected.abs().max().item<double>());
    const torch::Tensor half = network->forward(x.to(torch::kCUDA, torch::kBFloat16))[0];
    EXPECT_LE(relative_error({half}, {expected}), kBf16Error);
  }
}

// Sums in another order change gradients by some 1e-6; where a maximum or a ReLU then turns the other way,
// which LibTorch and our kernels on one CPU do too, by 2e-4.
TEST_P(EveryNetwork, OnTheGpuATrainingStepGivesTheGradientsOfTheCpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU, or a LibTorch without CUDA";
  allow_tf32(false);
  for (const int dims : entry().dims) {
    const auto in_double = make(dims), on_gpu = make(dims);
    const torch::Tensor x = input(*on_gpu, dims);
    if (is_let_off(entry().name)) GTEST_SKIP() << kAmplifies;
    in_double->to(torch::kDouble);
    on_gpu->to(torch::kCUDA);
    const auto exact = gradients_of_a_step(*in_double, x.to(torch::kDouble));
    EXPECT_LE(relative_error(gradients_of_a_step(*on_gpu, x.to(torch::kCUDA)), exact), 1e-3);
    EXPECT_LE(relative_error(on_gpu->buffers(), in_double->buffers()), 1e-5) << "running statistics";
  }
}

TEST_P(EveryNetwork, HasTheDeclaredParametersAndADocumentedConfiguration) {
  Json config = entry().settings();
  for (const char* key : {"in_channels", "classes"}) EXPECT_TRUE(config.contains(key)) << key;
  for (const SettingDocumentation& line : entry().documentation())
    EXPECT_FALSE(line.help.empty()) << line.path;
  const auto network = entry().make(config);
  EXPECT_EQ(parameter_count(*network), entry().parameters);
}

TEST_P(EveryNetwork, RefusesUnknownSettings) {
  Json config = small_config();
  config["clases"] = 4;
  EXPECT_THROW(make_network(config), UsageError);
}

INSTANTIATE_TEST_SUITE_P(Networks, EveryNetwork, testing::Range<size_t>(0, networks().size()),
                         [](const auto& info) { return networks()[info.param].name; });

TEST(Networks, AreFoundByNameWithAHint) {
  EXPECT_EQ(find_network("medsegmamba").name, "medsegmamba");
  try {
    find_network("medsegmamb");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("did you mean medsegmamba?"));
  }
  EXPECT_THROW(make_network(Json::object()), UsageError);
}

}  // namespace
}  // namespace mambaseg

#include <gtest/gtest.h>

#include <algorithm>

#include "mambaseg/nets/blocks/ss2d.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/nets/model/weights.h"

namespace mambaseg {
namespace {

std::shared_ptr<Network> made(const std::string& name, Json settings = Json::object()) {
  settings["name"] = name;
  return make_network(settings);
}

Json small(const std::string& name, const Json& changes = Json::object()) {
  Json settings = find_network(name).small;
  settings.update(changes);
  return settings;
}

torch::Tensor drawn(at::IntArrayRef sizes) {
  torch::manual_seed(5);
  return torch::randn(sizes);
}

TEST(VmUnet, HasTheParametersAndTensorsOfTheOfficialClass) {
  const auto repository = made("vm_unet");
  EXPECT_EQ(parameter_count(*repository), 27'427'561);
  EXPECT_EQ(weights_of(*repository).size(), 222u);
  EXPECT_EQ(parameter_count(*made("vm_unet", {{"classes", 9}})), 27'427'761);
  const auto defaults = made("vm_unet", {{"depths", {2, 2, 9, 2}}, {"decoder_depths", {2, 9, 2, 2}}});
  EXPECT_EQ(parameter_count(*defaults), 44'273'833);
  EXPECT_EQ(weights_of(*defaults).size(), 417u);
}

// Counts of parameters and tensors of the official VSSM with as many scales.
TEST(VmUnet, TakesAnyNumberOfScales) {
  const auto with = [](const std::vector<int64_t>& widths, const std::vector<int64_t>& depths,
                       const std::vector<int64_t>& decoder) {
    return made("vm_unet", {{"widths", widths}, {"depths", depths}, {"decoder_depths", decoder}});
  };
  const auto one = with({96}, {2}, {2}), two = with({96, 192}, {2, 2}, {2, 1}),
             three = with({96, 192, 384}, {2, 2, 2}, {2, 2, 1}),
             five = with({48, 96, 192, 384, 768}, {2, 2, 2, 2, 2}, {2, 2, 2, 2, 1});
  EXPECT_EQ(parameter_count(*one), 463'465);
  EXPECT_EQ(parameter_count(*two), 1'865'833);
  EXPECT_EQ(parameter_count(*three), 7'240'681);
  EXPECT_EQ(parameter_count(*five), 27'649'909);
  EXPECT_EQ(weights_of(*three).size(), 164u);
  EXPECT_EQ(weights_of(*five).size(), 280u);
  EXPECT_EQ(one->size_multiples(), (Extent{4, 4}));
  EXPECT_EQ(five->size_multiples(), (Extent{64, 64}));
  EXPECT_THROW(with({96, 192, 384}, {2, 2, 2, 2}, {2, 2, 1}), UsageError);
  EXPECT_THROW(with({}, {}, {}), UsageError);
}

TEST(VmUnet, RepeatsAGreyPicture) {
  torch::NoGradGuard no_grad;
  const auto network = made("vm_unet", small("vm_unet", {{"in_channels", 1}}));
  network->eval();
  const torch::Tensor grey = drawn({1, 1, 32, 64});
  EXPECT_TRUE(torch::equal(network->forward(grey)[0], network->forward(grey.repeat({1, 3, 1, 1}))[0]));
}

TEST(VmambaUnets, HaveTheParametersOfTheOfficialClassesInOtherConfigurationsToo) {
  EXPECT_EQ(parameter_count(*made("vm_unet_v2", {{"depths", {2, 2, 2, 2}}})), 14'400'502);
  EXPECT_EQ(parameter_count(*made("mamba_unet", {{"depths", {2, 2, 9, 2}}})), 35'862'528);
  EXPECT_EQ(parameter_count(*made("swin_umamba", {{"classes", 14}})), 59'889'368);
}

/// The parameters of the small network that no gradient reaches.
std::vector<std::string> without_gradient(const std::string& name, const Json& changes) {
  const auto network = made(name, small(name, changes));
  network->train();
  const int64_t edge = find_network(name).small_edge;
  network->forward(drawn({2, 3, edge, edge}))[0].sum().backward();
  std::vector<std::string> names;
  for (const auto& parameter : network->named_parameters())
    if (!parameter.value().grad().defined()) names.push_back(parameter.key());
  return names;
}

TEST(UnusedParameters, AreThoseThatNoScoreDependsOn) {
  const auto of_v2 = without_gradient("vm_unet_v2", {{"unused", true}});
  EXPECT_EQ(
      std::count_if(of_v2.begin(), of_v2.end(),
                    [](const std::string& name) { return name.starts_with("vmunet.layers.3.blocks.0."); }),
      13);
  EXPECT_EQ(of_v2.size(), 13u + 5);  // two heads with bias and a transposed convolution
  const auto of_h = without_gradient("h_vmunet", {{"unused", true}});
  EXPECT_EQ(of_h.size(), 8u);  // a block in each of the coarse scales, down and up
  for (const std::string& name : of_h) EXPECT_TRUE(name.ends_with(".dwconv.complex_weight")) << name;
}

TEST(VmUnetV2, AddsTheSecondScaleToEachMap) {
  torch::NoGradGuard no_grad;
  const auto network = made("vm_unet_v2", small("vm_unet_v2", {{"classes", 3}}));
  network->eval();
  torch::Tensor grown;
  network->set_observer([&](const std::string&, const torch::Tensor& value) { grown = value; });
  const torch::Tensor y = network->forward(drawn({2, 3, 32, 64}))[0];
  EXPECT_EQ(y.sizes(), (std::vector<int64_t>{2, 3, 32, 64}));
  EXPECT_EQ(grown.sizes(), y.sizes());
  const auto alone = made("vm_unet_v2", small("vm_unet_v2", {{"classes", 3}, {"deep_supervision", false}}));
  alone->eval();
  Weights weights = weights_of(*network);
  for (const char* name : {"seg_outs.2.weight", "seg_outs.2.bias", "deconv6.weight", "deconv6.bias"})
    EXPECT_EQ(weights.erase(name), 1u) << name;
  load_weights(*alone, weights);
  EXPECT_TRUE(torch::allclose(alone->forward(drawn({2, 3, 32, 64}))[0] + grown, y, 1e-5, 1e-6));
}

TEST(HymUnet, HasTheParametersOfTheSpecification) {
  EXPECT_EQ(parameter_count(*made("hym_unet")), 21'556'372);
  EXPECT_EQ(parameter_count(*made("hym_unet", {{"walks", "mirrored"}})), 21'556'372);
  // 1x1 convolutions from the decoder's to the encoder's width with bias, instead of to one map.
  EXPECT_EQ(parameter_count(*made("hym_unet", {{"gate", "channel"}})),
            21'556'372 - 1'347 + 769 * 384 + 385 * 192 + 193 * 96);
  // One map from both features: the encoder's widths come on top.
  EXPECT_EQ(parameter_count(*made("hym_unet", {{"gate", "concat"}})), 21'556'372 + 384 + 192 + 96);
  // Two projections to half the encoder's width and one to a map, each with bias and batch norm.
  int64_t additive = 0;
  for (const int64_t encoder : {384, 192, 96})
    additive += encoder / 2 * (encoder + 2 * encoder) + 2 * 3 * (encoder / 2) + encoder / 2 + 3;
  EXPECT_EQ(parameter_count(*made("hym_unet", {{"gate", "additive"}})), 21'556'372 - 1'347 + additive);
  const double narrow = static_cast<double>(
      parameter_count(*made("hym_unet", {{"widths", {64, 128, 256, 512}}, {"patch", 2}})));
  EXPECT_NEAR(narrow / 1e6, 9.80, 0.005);
}

TEST(HymUnet, EverySwitchChangesTheResultAndKeepsTheSize) {
  torch::NoGradGuard no_grad;
  const torch::Tensor x = drawn({2, 3, 32, 64});
  const auto run = [&](const Json& changes) {
    torch::manual_seed(9);
    const auto network = made("hym_unet", small("hym_unet", changes));
    network->eval();
    return network->forward(x)[0];
  };
  const torch::Tensor plain = run(Json::object());
  EXPECT_EQ(plain.sizes(), (std::vector<int64_t>{2, 2, 32, 64}));
  EXPECT_TRUE(torch::equal(plain, run(Json::object())));
  for (const Json& change : {Json{{"gate", "channel"}}, Json{{"gate", "concat"}}, Json{{"gate", "additive"}},
                             Json{{"patch", 2}}}) {
    const torch::Tensor y = run(change);
    EXPECT_EQ(y.sizes(), plain.sizes()) << change;
    EXPECT_GT((y - plain).abs().max().item<float>(), 1e-4) << change;
    EXPECT_TRUE(y.isfinite().all().item<bool>()) << change;
  }
}

TEST(Ss2d, MirroredWalksAreOthersExceptOnOneColumn) {
  torch::NoGradGuard no_grad;
  Ss2dSettings settings;
  settings.width = 8;
  SS2D cross(settings);
  settings.walks = "mirrored";
  SS2D mirrored(settings);
  load_weights(mirrored, weights_of(cross));
  const torch::Tensor column = drawn({2, 6, 1, 8}), plane = drawn({2, 3, 4, 8});
  EXPECT_TRUE(torch::equal(cross.forward(column), mirrored.forward(column)));
  EXPECT_GT((cross.forward(plane) - mirrored.forward(plane)).abs().max().item<float>(), 1e-4);
  settings.walks = "diagonal";
  EXPECT_THROW(SS2D(settings).forward(plane), UsageError);
}

TEST(VssBlock, DropPathActsInTrainingOnly) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(2);
  VssBlock2d block({8, 4}, 0.5);
  const torch::Tensor x = drawn({64, 2, 2, 8});
  block.eval();
  const torch::Tensor branch = block.forward(x) - x;
  block.train();
  const torch::Tensor dropped = block.forward(x) - x;
  int64_t left_out = 0;
  for (int64_t i = 0; i < x.size(0); ++i) {
    const bool out = dropped[i].abs().max().item<float>() == 0;
    left_out += out;
    if (!out) {
      EXPECT_TRUE(torch::allclose(dropped[i], 2 * branch[i], 1e-4, 1e-5)) << i;
    }
  }
  EXPECT_GT(left_out, 16);
  EXPECT_LT(left_out, 48);
}

TEST(Networks2d, RefuseSettingsThatDoNotFit) {
  EXPECT_THROW(made("vm_unet", {{"widths", {8, 16, 32}}}), UsageError);
  EXPECT_THROW(made("vm_unet", {{"widths", {8, 16, 32, 60}}}), UsageError);
  EXPECT_THROW(made("vm_unet_v2", {{"widths", {8, 16, 32, 64}}}), UsageError);
  EXPECT_THROW(made("vm_unet_v2", {{"widths", {16, 32, 64}}, {"depths", {1, 1, 1}}}), UsageError);
  EXPECT_THROW(made("mamba_unet", {{"depths", {1, 1}}}), UsageError);
  EXPECT_THROW(made("swin_umamba", {{"widths", {8, 12}}, {"depths", {1, 1}}}), UsageError);
  EXPECT_THROW(made("swin_umamba_d", {{"widths", Json::array()}, {"depths", Json::array()}}), UsageError);
  EXPECT_THROW(made("h_vmunet", {{"widths", {4, 8, 16, 32, 48, 64}}}), UsageError);
  EXPECT_THROW(made("h_vmunet", {{"depths", {1, 1, 1}}}), UsageError);
  EXPECT_THROW(made("hym_unet", {{"widths", {8, 16, 32, 60}}}), UsageError);
  EXPECT_THROW(made("hym_unet", {{"patch", 3}}), UsageError);
  EXPECT_THROW(made("hym_unet", {{"gate", "spatail"}}), UsageError);
  EXPECT_THROW(made("unet", {{"widths", {8}}}), UsageError);
  EXPECT_THROW(made("unet_se", {{"stages", {6}}}), UsageError);
  EXPECT_THROW(made("unet_se", {{"stages", {2, 2}}}), UsageError);
  EXPECT_THROW(made("unet_cbam", {{"kernel", 4}}), UsageError);
  EXPECT_THROW(made("ce_net", {{"dilations", {1, 3}}}), UsageError);
}

TEST(Networks2d, RefusePicturesWhoseSizeDoesNotFit) {
  for (const NetworkEntry& entry : networks()) {
    if (entry.dims != std::vector<int>{2}) continue;
    const Json settings = small(entry.name);
    const auto network = made(entry.name, settings);
    const int64_t channels = settings.value("in_channels", entry.settings().value("in_channels", int64_t{3}));
    const int64_t edge = entry.small_edge;
    if (network->misfit({edge, edge + 1}).empty()) {  // some pad, as their official code does
      network->eval();
      EXPECT_EQ(network->forward(drawn({1, channels, edge, edge + 1}))[0].sizes().slice(2).vec(),
                (std::vector<int64_t>{edge, edge + 1}));
    } else {
      EXPECT_THROW(network->forward(drawn({1, channels, edge, edge + 1})), Error) << entry.name;
    }
    // It zooms whatever it sees to a grid of its own.
    const bool zooms = std::string(entry.name) == "fastsurfer_vinn";
    EXPECT_EQ(network->misfit({edge, 1}).empty(), zooms) << entry.name;
    EXPECT_THROW(network->forward(drawn({channels, edge, edge})), Error) << entry.name;
  }
  EXPECT_NE(made("unet", small("unet"))->misfit({16, 2}).find("expected at least 4 x 4, got 16 x 2"),
            std::string::npos);
}

TEST(CeNet, WorksBelowItsPoolingWindows) {
  torch::NoGradGuard no_grad;
  const auto network = made("ce_net", small("ce_net"));
  network->eval();
  EXPECT_EQ(network->forward(drawn({1, 3, 32, 96}))[0].sizes(), (std::vector<int64_t>{1, 3, 32, 96}));
}

TEST(UnetVariants, AddTheirModulesToThePlainNetwork) {
  const int64_t plain = parameter_count(*made("unet"));
  EXPECT_EQ(plain, 31'037'633);
  int64_t se = 0, cbam = 0, mamba = 0;
  for (const int64_t c : {64, 128, 256, 512, 1024}) {
    se += 2 * c * (c / 16) + c / 16 + c;
    cbam += 2 * c * (c / 16) + c / 16 + c + 2 * 49 + 2;
  }
  for (const int64_t d : {512, 1024}) {
    const int64_t inner = 2 * d, rank = d / 16;
    mamba += 2 * d + 2 * d * inner + 10 * inner + 4 * inner * (rank + 32) + 4 * inner * rank + 4 * inner +
             4 * inner * 16 + 4 * inner + 2 * inner + inner * d;
  }
  EXPECT_EQ(parameter_count(*made("unet_se")), plain + se);
  EXPECT_EQ(parameter_count(*made("unet_cbam")), plain + cbam);
  EXPECT_EQ(parameter_count(*made("unet_mamba")), plain + mamba);
  EXPECT_EQ(find_network("unet_se").parameters, plain + se);
  EXPECT_EQ(find_network("unet_cbam").parameters, plain + cbam);
  EXPECT_EQ(find_network("unet_mamba").parameters, plain + mamba);
}

TEST(Networks2d, HaveTheDeclaredParameters) {
  for (const NetworkEntry& entry : networks()) {
    if (entry.dims != std::vector<int>{2}) continue;
    EXPECT_EQ(parameter_count(*made(entry.name)), entry.parameters) << entry.name;
  }
}

}  // namespace
}  // namespace mambaseg

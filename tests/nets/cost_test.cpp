#include "mambaseg/nets/model/cost.h"

#include <gtest/gtest.h>

namespace mambaseg {
namespace {

NetworkCost cost(const char* name, const Extent& sizes, const Json& changes = Json::object()) {
  Json config = changes;
  config["name"] = name;
  return cost_of(config, sizes);
}

// Counted with hooks on the official modules of VM-UNet and UltraLight VM-UNet, Mamba's projections added, to
// the digits that were written down.
TEST(Cost, IsThatOfTheOfficialCode) {
  const NetworkCost vm_unet = cost("vm_unet", {256, 256});
  EXPECT_EQ(vm_unet.parameters, 27'427'561);
  EXPECT_NEAR(static_cast<double>(vm_unet.operations.multiply_adds), 5.29e9, 0.005e9);
  EXPECT_NEAR(static_cast<double>(vm_unet.operations.state_updates), 0.33e9, 0.005e9);
  const NetworkCost light = cost("ultralight_vm_unet", {256, 256});
  EXPECT_NEAR(static_cast<double>(light.operations.multiply_adds), 0.066e9, 0.0005e9);
}

TEST(Cost, GrowsWithTheImage) {
  const NetworkCost one = cost("unet", {64, 64}), four = cost("unet", {128, 128});
  EXPECT_EQ(four.operations.multiply_adds, 4 * one.operations.multiply_adds);
  EXPECT_EQ(four.operations.state_updates, 0);
}

TEST(Cost, RefusesSizesThatTheNetworkDoesNotTake) {
  EXPECT_THROW(cost("vm_unet", {250, 256}), Error);
  EXPECT_THROW(cost("vm_unet", {256, 256, 256}), Error);
}

// Counted with the official classes; of STU-Net also published. Its two large networks take 1.8 and 5.8 GB of
// weights, which nobody writes here.
TEST(Cost, ParametersOfVariantsAreThePublishedOnes) {
  const auto parameters = [](const char* name, const Extent& sizes, const Json& changes) {
    return cost(name, sizes, changes).parameters;
  };
  const Extent cube{32, 32, 32}, square{32, 32};
  EXPECT_EQ(parameters("stu_net", cube, {{"size", "S"}}), 14'596'941);
  EXPECT_EQ(parameters("stu_net", cube, {{"size", "B"}}), 58'262'669);
  EXPECT_EQ(parameters("stu_net", cube, {{"size", "L"}}), 440'302'605);
  EXPECT_EQ(parameters("stu_net", cube, {{"size", "H"}}), 1'457'326'221);
  EXPECT_EQ(parameters("stu_net", cube, {{"size", "H"}, {"classes", 14}}), 1'457'054'950);
  EXPECT_EQ(parameters("unet", square, {{"bilinear", true}}), 17'262'977);
  EXPECT_EQ(parameters("unet_pp", square, {{"deep_supervision", false}}), 9'163'329);
  EXPECT_EQ(parameters("basic_unet_pp", cube, {{"in_channels", 4}, {"classes", 4}}), 6'982'832);
  EXPECT_EQ(parameters("basic_unet_pp", square,
                       {{"dims", 2}, {"widths", {64, 128, 256, 512, 1024}}, {"last_width", 128}}),
            36'782'920);
  EXPECT_EQ(parameters("fastsurfer_cnn", square, {{"classes", 51}}), 1'304'522);
  EXPECT_EQ(parameters("fastsurfer_cnn", square, {{"width", 71}}), 1'605'767);
  EXPECT_EQ(parameters("fastsurfer_vinn", square, {{"classes", 51}}), 1'852'616);
}

}  // namespace
}  // namespace mambaseg

#include "mambaseg/nets/model/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/nets/model/tensor_file.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

Json small_config(int classes) {
  return {{"name", "medsegmamba"}, {"classes", classes}, {"widths", {8, 16, 24, 32}},
          {"token_width", 8},      {"layers", 1},        {"states", 2}};
}

class Checkpoint : public testing::Test {
 protected:
  std::string error_for(const TensorFile& file) {
    write_safetensors(path_, file);
    try {
      load_model(path_);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(path_));
      EXPECT_THAT(error.what(), testing::Not(HasSubstr("\n")));
      return error.what();
    }
    return "";
  }
  TensorFile saved() {
    const Json config = small_config(3);
    save_model(path_, *make_network(config), {config, {{"step", 16}}, {{"epochs", 2}}, {{"seed", 7}}});
    return read_safetensors(path_);
  }
  TemporaryFolder folder_;
  std::string path_ = folder_ / "model.safetensors";
};

TEST_F(Checkpoint, KeepsPlanRecipeAndHistory) {
  const TensorFile file = saved();
  EXPECT_EQ(file.metadata.at("mambaseg"), "1");
  const Model model = load_model(path_);
  EXPECT_EQ(read_model_info(path_).network, model.info.network);
  EXPECT_EQ(model.info.network, small_config(3));
  EXPECT_EQ(model.info.plan.at("step"), 16);
  EXPECT_EQ(model.info.recipe.at("epochs"), 2);
  EXPECT_EQ(model.info.history.at("seed"), 7);
}

TEST_F(Checkpoint, WeightsInBf16TakeHalfAndComputeAlmostAlike) {
  const Json config = small_config(3);
  torch::manual_seed(4);
  const auto network = make_network(config);
  network->eval();
  const ModelInfo info{config, Json::object(), Json::object(), Json::object()};
  save_model(path_, *network, info);
  const auto whole = std::filesystem::file_size(path_);
  save_model(path_, *network, info, StoredWeights::bf16);
  EXPECT_LT(double(std::filesystem::file_size(path_)), 0.65 * double(whole));
  const Model model = load_model(path_);
  const torch::NoGradGuard no_grad;
  const auto x = torch::rand({1, 1, 16, 16, 16});
  const auto expected = network->forward(x).front(), got = model.network->forward(x).front();
  EXPECT_EQ(got.scalar_type(), torch::kFloat32);
  const double error = ((got - expected).norm() / expected.norm()).item<double>();
  EXPECT_GT(error, 0);     // they are other weights,
  EXPECT_LT(error, 0.05);  // off by 2^-9 at most, through some ten layers
}

TEST_F(Checkpoint, RefusesOtherFilesWithOneLine) {
  TensorFile file = saved();
  const TensorFile good = file;
  file.metadata.erase("mambaseg");
  EXPECT_THAT(error_for(file), HasSubstr("bare weights"));
  file = good;
  file.metadata["mambaseg"] = "99";
  EXPECT_THAT(error_for(file), HasSubstr("format version 99"));
  file = good;
  file.metadata["plan"] = "{";
  EXPECT_THAT(error_for(file), HasSubstr("\"plan\" in the metadata is not a JSON object"));
  file = good;
  file.metadata.erase("history");
  EXPECT_THAT(error_for(file), HasSubstr("no \"history\""));
  file = good;
  file.metadata["network"] = R"({"name": "medsegmambo"})";
  EXPECT_THAT(error_for(file), HasSubstr("did you mean medsegmamba"));
}

TEST_F(Checkpoint, RefusesWeightsThatDoNotFit) {
  TensorFile file = saved();
  const TensorFile good = file;
  file.tensors.pop_back();
  EXPECT_THAT(error_for(file), HasSubstr("medsegmamba: the weights do not fit: 1 missing ("));
  file = good;
  file.metadata["network"] = small_config(4).dump();
  EXPECT_THAT(error_for(file),
              HasSubstr("2 of another size (Conv_1x1.bias [3] instead of [4], Conv_1x1.weight"));
  file = good;
  Json other = small_config(3);
  other["name"] = "segmambabot";
  file.metadata["network"] = other.dump();
  EXPECT_THAT(error_for(file), HasSubstr("segmambabot: the weights do not fit: "));
}

TEST(TensorFileOfTensors, KeepsTypesAndStridedViews) {
  const torch::Tensor x = torch::arange(6, torch::kFloat).view({2, 3});
  const TensorFile file = to_tensor_file({{"flag", torch::tensor({true, false})},
                                          {"turned", x.t()},
                                          {"half", x.to(torch::kBFloat16)},
                                          {"long", torch::tensor({int64_t{1} << 40})}});
  EXPECT_EQ(file.tensors.front().name, "long");  // the widest first
  EXPECT_TRUE(torch::equal(to_tensor(*file.find("turned")), x.t()));
  EXPECT_TRUE(torch::equal(to_tensor(*file.find("half")), x.to(torch::kBFloat16)));
  EXPECT_EQ(file.find("flag")->dtype, "BOOL");
  EXPECT_THROW(to_tensor({"x", "F8_E4M3", {1}, {}}), Error);
}

}  // namespace
}  // namespace mambaseg

#include "mambaseg/data/case_cache.h"

#include <atomic>
#include <filesystem>
#include <mutex>
#include <set>

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/io/image.h"
#include "mambaseg/io/safetensors.h"
#include "mambaseg/tasks/volumes/volume_case.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class CaseCache : public testing::Test {
 protected:
  void SetUp() override {
    plan_.conform = "none";
    plan_.orientation = "RAS";
    plan_.patch = {8, 8, 8};
    plan_.step = 8;
    plan_.classes = {{"one", {10}}, {"two", {20, 21}}};
  }

  /// A bright box of 6 x 10 x 5 voxels in a 16^3 image, labels 10, 20, 21 in it.
  Case draw(const std::string& id) const {
    Geometry geometry;
    geometry.size = {16, 16, 16};
    Volume<float> image(geometry);
    Volume<int32_t> labels(geometry);
    for (int64_t k = 4; k < 9; ++k)
      for (int64_t j = 3; j < 13; ++j)
        for (int64_t i = 5; i < 11; ++i) image.at(i, j, k) = static_cast<float>(10 + i + 7 * j + 3 * k);
    labels.at(5, 3, 4) = 10;
    labels.at(6, 4, 5) = 20;
    labels.at(10, 12, 8) = 21;
    labels.at(7, 7, 7) = 99;  // in no class
    Case one{id, {(folder_ / (id + ".nii.gz")).string()}, (folder_ / (id + "_labels.nii.gz")).string(), ""};
    write_volume(one.images[0], image);
    write_labels(one.labels, labels);
    return one;
  }
  std::string cache() const { return (folder_ / "cache").string(); }

  TemporaryFolder temporary_;
  fs::path folder_ = temporary_.string();
  Plan plan_;
};

TEST_F(CaseCache, CropsToTheBrainAndPadsToAPatch) {
  const PreparedCase one = prepare_case(draw("a"), plan_);
  EXPECT_EQ(one.size(), (Index3{8, 10, 8}));  // 6 and 5 grow to 8
  EXPECT_EQ(one.image_CIJK.scalar_type(), torch::kUInt8);
  // One voxel before i (of two missing), one before k (of three).
  EXPECT_EQ(one.classes_IJK[1][0][1].item<int>(), 1);
  EXPECT_EQ(one.classes_IJK[2][1][2].item<int>(), 2);
  EXPECT_EQ(one.classes_IJK[6][9][5].item<int>(), 2);
  EXPECT_EQ((one.classes_IJK > 0).sum().item<int>(), 3);
  EXPECT_GT(one.image_CIJK[0][6][9][5].item<int>(), 200);
  EXPECT_EQ(one.image_CIJK[0][0].sum().item<int>(), 0);
}

TEST_F(CaseCache, WholeGridAndZscore) {
  plan_.crop_to_brain = false;
  plan_.intensity = "zscore";
  const PreparedCase one = prepare_case(draw("a"), plan_);
  EXPECT_EQ(one.size(), (Index3{16, 16, 16}));
  EXPECT_EQ(one.image_CIJK.scalar_type(), torch::kFloat16);
  const auto image = one.image_CIJK.to(torch::kFloat32);
  const auto inside = image.masked_select(image != 0);
  EXPECT_NEAR(inside.mean().item<float>(), 0, 1e-3);  // half an 11th bit of values up to 2
}

TEST_F(CaseCache, RegionOfAnEarlierStage) {
  plan_.region = "labels";
  plan_.region_labels = {10, 20};
  const PreparedCase one = prepare_case(draw("a"), plan_);
  EXPECT_EQ(one.size(), (Index3{8, 8, 8}));
  // Box i 5..6: (8 - 2) / 2 = 3 before.
  EXPECT_EQ(one.classes_IJK[3][3][3].item<int>(), 1);
  plan_.region_labels = {77};
  EXPECT_THROW(prepare_case(draw("b"), plan_), Error);
}

TEST_F(CaseCache, KeepsWhatIsDoneAndRedoesWhatChanged) {
  const std::vector<Case> cases{draw("a"), draw("b"), draw("c")};
  EXPECT_EQ(prepare_cases(cases, volume_preparation(plan_), cache(), 2), 3);
  EXPECT_EQ(prepare_cases(cases, volume_preparation(plan_), cache(), 2), 0);
  fs::remove(fs::path(cache()) / "b.safetensors");
  EXPECT_EQ(prepare_cases(cases, volume_preparation(plan_), cache(), 2), 1);
  fs::resize_file(fs::path(cache()) / "c.safetensors", 40);  // as a crash of another program might leave it
  EXPECT_EQ(prepare_cases(cases, volume_preparation(plan_), cache(), 2), 1);
  plan_.step = 4;
  EXPECT_EQ(prepare_cases(cases, volume_preparation(plan_), cache(), 2), 0);
  plan_.classes[0].ids = {99};
  EXPECT_EQ(prepare_cases(cases, volume_preparation(plan_), cache(), 2), 3);
  fs::last_write_time(cases[0].labels, fs::last_write_time(cases[0].labels) + std::chrono::seconds(5));
  EXPECT_EQ(prepare_cases(cases, volume_preparation(plan_), cache(), 2), 1);
}

TEST_F(CaseCache, LoadsWhatWasPrepared) {
  const std::vector<Case> cases{draw("a")};
  prepare_cases(cases, volume_preparation(plan_), cache(), 1);
  const PreparedCase fresh = prepare_case(cases[0], plan_), loaded = load_prepared(cache(), "a");
  EXPECT_TRUE(torch::equal(fresh.image_CIJK, loaded.image_CIJK));
  EXPECT_TRUE(torch::equal(fresh.classes_IJK, loaded.classes_IJK));
  EXPECT_EQ(fresh.scale, loaded.scale);
  EXPECT_THROW(load_prepared(cache(), "b"), Error);
  write_safetensors(cache() + "/odd.safetensors", {});
  EXPECT_THROW(load_prepared(cache(), "odd"), Error);
}

TEST_F(CaseCache, DigestsChangeWithAnyValue) {
  const Case one = draw("a");
  const auto digest_of = [&](const torch::Tensor& image_CIJK) {
    fs::remove(fs::path(cache()) / "a.safetensors");
    const auto prepare = [&](const Case&, const Warn&) {
      PreparedCase out;
      out.id = "a";
      out.image_CIJK = image_CIJK;
      out.classes_IJK = image_CIJK[0];
      return out;
    };
    prepare_cases({one}, {"hash", prepare}, cache(), 1);
    const PreparedCase loaded = load_prepared(cache(), "a");
    EXPECT_EQ(loaded.content, loaded.classes_content);  // of the same bytes
    return loaded.content;
  };
  const torch::Tensor image_CIJK =
      torch::arange(3 * 7 * 9).remainder(256).to(torch::kUInt8).view({1, 3, 7, 9});
  std::set<std::string> digests{digest_of(image_CIJK)};
  EXPECT_EQ(digest_of(image_CIJK.clone()), *digests.begin());
  const auto with_other = [&](const std::vector<int64_t>& bytes) {  // their highest bits are flipped
    torch::Tensor other = image_CIJK.clone();
    for (const int64_t byte : bytes) other.view(-1)[byte].bitwise_xor_(128);
    return digest_of(other);
  };
  const std::vector<std::vector<int64_t>> changes{{0},   {7},     {8},          {63},   {64},
                                                  {188}, {7, 71}, {7, 71, 135}, {7, 15}};
  for (const auto& bytes : changes) EXPECT_TRUE(digests.insert(with_other(bytes)).second) << bytes.front();
}

TEST_F(CaseCache, OfSlicesIsNotPaddedAndServesAllPlanes) {
  plan_.plane = "axial";
  plan_.patch = {8, 8};
  plan_.orientation = "LIA";
  plan_.crop_to_brain = false;
  Case one = draw("a");
  Volume<int32_t> labels = read_labels(one.labels);
  Volume<float> image(labels.geometry, 1);
  image.at(3, 3, 3) = 2;
  for (Geometry* geometry : {&labels.geometry, &image.geometry})
    geometry->voxel_to_ras_mm.matrix = {{{2, 0, 0}, {0, 3, 0}, {0, 0, 4}}};
  write_volume(one.images[0], image);
  write_labels(one.labels, labels);
  for (const char* plane : {"axial", "coronal", "sagittal"}) {
    plan_.plane = plane;
    plan_.slices = std::string(plane) == "axial" ? 3 : 5;
    EXPECT_EQ(prepare_cases({one}, volume_preparation(plan_), cache(), 1), plan_.slices == 3) << plane;
  }
  const PreparedCase loaded = load_prepared(cache(), "a");
  EXPECT_EQ(loaded.spacing_mm, (Vector3{2, 4, 3}));  // left, feet, front
  EXPECT_EQ(loaded.size(), (Index3{16, 16, 16}));
  plan_.plane = "axial";
  plan_.patch = {32, 32};
  EXPECT_EQ(prepare_case(one, plan_).size(), (Index3{16, 16, 16}));
}

TEST_F(CaseCache, TellsEveryCaseThatFails) {
  Case gone = draw("gone");
  fs::remove(gone.labels);
  Case odd = draw("odd");
  Geometry small;
  small.size = {4, 4, 4};
  write_volume(odd.images[0], Volume<float>(small));  // all zero
  try {
    prepare_cases({draw("fine"), gone, odd}, volume_preparation(plan_), cache(), 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("2 of 3 cases"));
    EXPECT_THAT(error.what(), HasSubstr("gone"));
    EXPECT_THAT(error.what(), HasSubstr("odd"));
  }
  EXPECT_TRUE(fs::exists(fs::path(cache()) / "fine.safetensors"));
}

TEST_F(CaseCache, WorkersDoNotMultiplyTheThreads) {
  const std::vector<Case> cases{draw("a"), draw("b"), draw("c"), draw("d")};
  const int before = at::get_num_threads();
  at::set_num_threads(6);
  Preparation preparation = volume_preparation(plan_);
  std::mutex mutex;
  std::vector<int> threads;
  preparation.prepare = [&](const Case& one, const Warn& warn) {
    const std::lock_guard lock(mutex);
    threads.push_back(at::get_num_threads());
    return prepare_case(one, plan_, warn);
  };
  prepare_cases(cases, preparation, cache(), 4);
  EXPECT_THAT(threads, testing::ElementsAre(1, 1, 1, 1));
  threads.clear();
  fs::remove_all(cache());
  prepare_cases({cases[0]}, preparation, cache(), 4);
  EXPECT_THAT(threads, testing::ElementsAre(6)) << "a case alone has them all";
  at::set_num_threads(before);
}

TEST_F(CaseCache, CasesAtATimeFitInMemory) {
  const std::vector<Case> cases{draw("a"), draw("b"), draw("c"), draw("d"), draw("e"), draw("f")};
  Preparation preparation = volume_preparation(plan_);
  const int64_t bytes = preparation.bytes(cases[0]);
  EXPECT_GE(bytes, 16 * 16 * 16 * (4 + 4 + 4 + 4)) << "image and labels of the file and of the network";
  std::atomic<int> now{0}, most{0};
  preparation.prepare = [&](const Case& one, const Warn& warn) {
    most = std::max<int>(most, ++now);
    const PreparedCase prepared = prepare_case(one, plan_, warn);
    --now;
    return prepared;
  };
  EXPECT_EQ(prepare_cases(cases, preparation, cache(), Workers(6, 2 * bytes)), 6);
  EXPECT_LE(most, 2);
}

struct Named {
  int64_t edge = 3;
  std::vector<LabelClass> classes{{"one", {1, 2}}};
  void describe(SettingsVisitor& visit) {
    visit("edge", edge, "");
    visit("classes", classes, "");
  }
};
struct Renamed {
  int64_t a_edge = 3;
  std::vector<LabelClass> classes{{"one", {1, 2}}};
  void describe(SettingsVisitor& visit) {
    visit("width_of_patch", a_edge, "");
    visit("a_list_of_classes", classes, "");
  }
};

TEST(SettingsHash, IsThatOfTheValues) {
  EXPECT_EQ(settings_hash(Named{}), settings_hash(Renamed{}));
  Named other;
  other.classes[0].ids = {1, 3};
  EXPECT_NE(settings_hash(other), settings_hash(Named{}));
  other = Named{};
  other.edge = 4;
  EXPECT_NE(settings_hash(other), settings_hash(Named{}));
}

TEST(PlanHash, ChangesWithWhatPreparedCasesDependOn) {
  const auto changed = [](const auto& change) {
    Plan plan;
    change(plan);
    return plan_hash(plan) != plan_hash(Plan());
  };
  EXPECT_FALSE(changed([](Plan& plan) { plan.window = "gaussian"; }));
  EXPECT_FALSE(changed([](Plan& plan) { plan.step_fraction = 0.25; }));
  EXPECT_FALSE(changed([](Plan& plan) { plan.mirror = {0, 1}; }));
  EXPECT_FALSE(changed([](Plan& plan) { plan.step = 8; }));
  EXPECT_TRUE(changed([](Plan& plan) { plan.spacing = {1, 1, 2}; }));
  EXPECT_TRUE(changed([](Plan& plan) { plan.ct.mean += 1; }));
  EXPECT_TRUE(changed([](Plan& plan) { plan.classes = {{"one", {1}}}; }));
  EXPECT_TRUE(changed([](Plan& plan) { plan.patch = {96, 96, 64}; }));
}

}  // namespace
}  // namespace mambaseg

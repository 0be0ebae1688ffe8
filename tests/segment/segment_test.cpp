// Images to files with models of the box: drawn weights whose answer is known.
#include "mambaseg/segment/segment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "mambaseg/io/image.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/report/table_file.h"
#include "mambaseg/segment/inputs.h"
#include "mambaseg/segment/results.h"
#include "tests/io/temporary_folder.h"
#include "tests/metrics/blobs.h"
#include "tests/models/drawn_model.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

Json volume_plan(const Json& more = Json::object()) {
  Json plan{{"conform", "none"},
            {"orientation", "RAS"},
            {"patch", {16, 16, 16}},
            {"classes", {{{"name", "Left-Ball"}, {"ids", {10}}}, {{"name", "Right-Ball"}, {"ids", {49}}}}}};
  plan.update(more);
  return plan;
}

class Segment : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "in");
    request_.output = folder_ / "out";
    request_.model_folders = {folder_ / "box"};
    request_.version = "test";
    request_.precision = Precision::fp32;
  }

  /// A model of one stage that says 10 everywhere.
  void make_volume_model(const std::string& limits = "") {
    const std::string at = folder_ / "box/balls";
    fs::create_directories(at);
    write_drawn_weights(at + "/a.safetensors", "medsegmamba", volume_plan(), 3, 1);
    write_bytes(at + "/model.toml", card_text("volumes", stage_table(at, "a.safetensors") + limits));
  }
  void make_picture_model(int64_t everywhere, const std::string& limits = "") {
    const std::string at = folder_ / "box/spots";
    fs::create_directories(at);
    write_drawn_weights(at + "/a.safetensors", "unet",
                        {{"task", "pictures"}, {"size", {32, 32}}, {"structure", "spot"}}, 1, everywhere);
    write_bytes(at + "/model.toml", card_text("pictures", stage_table(at, "a.safetensors") + limits));
  }
  /// A bright box of 9 x 8 x 7 voxels in zeros.
  std::string volume(const std::string& name, float value = 50) {
    Volume<float> image(grid({20, 18, 17}, {1, 1, 2}));
    for (int64_t k = 4; k < 11; ++k)
      for (int64_t j = 3; j < 11; ++j)
        for (int64_t i = 5; i < 14; ++i) image.at(i, j, k) = value + float(i);
    write_volume(folder_ / ("in/" + name), image);
    return folder_ / ("in/" + name);
  }
  std::string picture(const std::string& name, uint8_t blue = 60) {
    Picture drawn{40, 24, 3, {}};
    for (int64_t p = 0; p < 40 * 24; ++p)
      drawn.values.insert(drawn.values.end(), {200, uint8_t(100 + p % 40), blue});
    write_picture(folder_ / ("in/" + name), drawn);
    return folder_ / ("in/" + name);
  }

  void run(std::vector<std::string> inputs) {
    request_.inputs = std::move(inputs);
    notes_.clear(), warnings_.clear(), error_.clear();
    try {
      segment_images(request_, {[&](const std::string& what, int64_t, int64_t) { progress_ = what; },
                                [&](const std::string& line) { warnings_.push_back(line); },
                                [&](const std::string& line) { notes_.push_back(line); }});
    } catch (const Error& error) {
      error_ = error.what();
    }
  }
  std::string out(const std::string& name) const { return folder_ / ("out/" + name); }
  /// The cell of a table.
  static std::string cell(const std::string& path, const std::string& image, const std::string& column) {
    const TableFile table = read_table_file(path);
    for (const auto& row : table.rows)
      if (row[0] == image) return row[table.column(column)];
    return "no such row";
  }

  TemporaryFolder folder_;
  SegmentRequest request_;
  std::vector<std::string> notes_, warnings_;
  std::string error_, progress_;
};

TEST_F(Segment, AVolumeGivesLabelsNamesVolumesAndAPage) {
  make_volume_model();
  run({volume("one.nii.gz")});
  ASSERT_EQ(error_, "");
  EXPECT_THAT(notes_, Contains(HasSubstr("model balls 1.0: Segments drawn things (chosen for volumes")));
  const Volume<int32_t> labels = read_labels(out("one.nii.gz"));
  EXPECT_EQ(labels.geometry.size, (Index3{20, 18, 17}));
  const auto count = std::count(labels.voxels.begin(), labels.voxels.end(), 10);
  ASSERT_GE(count, 9 * 8 * 7);
  const Json sidecar = read_json(out("one.json"));
  EXPECT_EQ(sidecar["structures"][0]["name"], "Left-Ball");
  EXPECT_EQ(sidecar["structures"][0]["mm3"], 2.0 * double(count));
  EXPECT_EQ(cell(out("volumes.tsv"), "one", "Left-Ball_mm3"), std::to_string(2 * count));
  EXPECT_EQ(cell(out("volumes.tsv"), "one", "Right-Ball_mm3"), "0");
  EXPECT_THAT(read_bytes(out("one.aseg.stats")), HasSubstr("Left-Ball"));
  const std::string page = read_bytes(out("one.html"));
  EXPECT_THAT(page, HasSubstr("data:image/png;base64"));
  EXPECT_THAT(page, HasSubstr("Left-Ball"));
  EXPECT_THAT(read_bytes(out("index.html")), HasSubstr("one.html"));
}

// The network says Left everywhere, whichever way the head lies: mirrored back that is Right.
TEST_F(Segment, LabelsThatDoNotMirrorAreFlagged) {
  make_volume_model("[limits]\nagreement = 0.8\n");
  run({volume("one.nii.gz")});
  ASSERT_EQ(error_, "");
  EXPECT_THAT(cell(out("volumes.tsv"), "one", "look_at"), HasSubstr("Left-Ball 0"));
  EXPECT_EQ(cell(out("volumes.tsv"), "one", "Left-Ball_agreement"), "0");
  EXPECT_THAT(read_bytes(out("one.html")), HasSubstr("Look at this one"));
  request_.quick = request_.overwrite = true;
  run({volume("one.nii.gz")});
  EXPECT_EQ(cell(out("volumes.tsv"), "one", "look_at"), "");
  EXPECT_EQ(cell(out("volumes.tsv"), "one", "quality"), "");
}

TEST_F(Segment, TwoStagesGiveTheLabelsOfTheSecondAroundTheFirst) {
  const std::string at = folder_ / "box/two";
  fs::create_directories(at);
  write_drawn_weights(at + "/a.safetensors", "medsegmamba", volume_plan(), 3, 2);
  Json second = volume_plan({{"region", "labels"}, {"region_labels", {49}}});
  second["classes"] = {{{"name", "Nucleus"}, {"ids", {77}}}};
  write_drawn_weights(at + "/b.safetensors", "medsegmamba", second, 2, 1);
  write_bytes(at + "/model.toml",
              card_text("volumes", stage_table(at, "a.safetensors") + stage_table(at, "b.safetensors")));
  run({volume("one.nii.gz")});
  ASSERT_EQ(error_, "");
  const Volume<int32_t> labels = read_labels(out("one.nii.gz"));
  EXPECT_THAT(labels.voxels, Contains(77));
  EXPECT_THAT(labels.voxels, Not(Contains(49)));
  // A patch of 16 voxels around 9 lies half a voxel off their middle, mirrored half a voxel to the other
  // side: 15 of 16 are shared.
  EXPECT_EQ(cell(out("volumes.tsv"), "one", "quality"), "0.9375");
}

TEST_F(Segment, ABadImageDoesNotStopTheOthersAndIsInTheTable) {
  make_volume_model();
  volume("a.nii.gz");
  volume("c.nii.gz");
  write_volume(folder_ / "in/b.nii.gz", Volume<float>(grid({8, 8, 8})));
  write_bytes(folder_ / "in/d.nii", "no image");
  run({folder_ / "in"});
  EXPECT_THAT(error_, HasSubstr("2 of 4 cases failed"));
  EXPECT_THAT(warnings_, Contains(HasSubstr("all zero")));
  EXPECT_TRUE(fs::exists(out("a.json")) && fs::exists(out("c.json")));
  EXPECT_FALSE(fs::exists(out("b.json")) || fs::exists(out("b.nii.gz")));
  EXPECT_THAT(cell(out("volumes.tsv"), "b", "look_at"), HasSubstr("refused: "));
  EXPECT_THAT(progress_, HasSubstr("c, 3 of 4"));
}

TEST_F(Segment, OutputsThatAreThereAreKeptUnlessOverwritten) {
  make_volume_model();
  const std::vector<std::string> both{volume("a.nii.gz"), volume("b.nii.gz")};
  run({both[0]});
  write_bytes(out("a.nii.gz"), "mine");
  run(both);  // as after a call that was ended between the two
  EXPECT_THAT(notes_, Contains(HasSubstr("1 of 2 images have labels already, which are kept")));
  EXPECT_EQ(read_bytes(out("a.nii.gz")), "mine");
  EXPECT_THAT(read_table_file(out("volumes.tsv")).rows, SizeIs(2));
  request_.overwrite = true;
  run({both[0]});
  EXPECT_NE(read_bytes(out("a.nii.gz")), "mine");
  EXPECT_THAT(read_table_file(out("volumes.tsv")).rows, SizeIs(2));  // what the folder holds
  fs::remove(out("a.nii.gz"));  // an image without its last file is not done
  request_.overwrite = false;
  run(both);
  EXPECT_EQ(read_labels(out("a.nii.gz")).geometry.size, (Index3{20, 18, 17}));
}

TEST_F(Segment, LabelsOfAnotherOriginAreKeptToo) {
  make_volume_model();
  fs::create_directories(folder_ / "out");
  write_bytes(out("a.nii.gz"), "by hand");
  write_bytes(out("a.json"), "{\"labels\": \"by hand\"}");
  write_bytes(out("notes.json"), "no JSON");
  run({volume("a.nii.gz")});
  EXPECT_EQ(error_, "");
  EXPECT_THAT(notes_,
              Contains(HasSubstr("1 of 1 images have labels already, which are kept (1 not by this model")));
  EXPECT_EQ(read_bytes(out("a.nii.gz")), "by hand");
  EXPECT_EQ(read_bytes(out("a.json")), "{\"labels\": \"by hand\"}");
}

TEST_F(Segment, PicturesGiveMasksAreasAndThumbnails) {
  make_picture_model(1, "[limits]\nagreement = 0.9\nleast_warm = 0.5\n");
  picture("a.png");
  picture("b.jpg", 255);
  run({folder_ / "in"});
  ASSERT_EQ(error_, "");
  const Picture mask = read_picture(out("a.png"));
  EXPECT_EQ(mask.width, 40);
  EXPECT_EQ(mask.values, std::vector<uint8_t>(40 * 24, 255));
  EXPECT_EQ(cell(out("areas.tsv"), "a", "spot_pixels"), "960");
  EXPECT_EQ(cell(out("areas.tsv"), "a", "spot_percent"), "100");
  EXPECT_EQ(cell(out("areas.tsv"), "a", "spot_agreement"), "1");
  EXPECT_EQ(cell(out("areas.tsv"), "a", "look_at"), "");
  EXPECT_THAT(cell(out("areas.tsv"), "b", "look_at"), HasSubstr("does not look like skin"));
  EXPECT_EQ(read_picture(out("overlay/a.png")).channels, 3);
  const std::string index = read_bytes(out("index.html"));
  EXPECT_THAT(index, HasSubstr("src=\"overlay/a.png\""));
  EXPECT_LT(index.find("overlay/b.png"), index.find("overlay/a.png"));  // what to look at comes first
}

TEST_F(Segment, RefusesWhatMakesNoSense) {
  make_picture_model(0);
  run({picture("a.png"), volume("v.nii.gz")});
  EXPECT_THAT(error_, HasSubstr("segment them in two calls"));
  run({volume("v.nii.gz")});
  EXPECT_THAT(error_, HasSubstr("there is no model for volumes"));
  request_.model = {"spots"};
  run({volume("v.nii.gz")});
  EXPECT_THAT(error_, HasSubstr("the model spots is for pictures, the inputs are volumes"));
  request_.model = {};
  fs::create_directories(folder_ / "other");
  fs::copy(folder_ / "in/a.png", folder_ / "other/a.png");
  run({folder_ / "in/a.png", folder_ / "other/a.png"});
  EXPECT_THAT(error_, HasSubstr("one image by name (a)"));
  request_.output = folder_ / "out.nii.gz";
  run({folder_ / "in/a.png"});
  EXPECT_THAT(error_, HasSubstr("expected a folder"));
  request_.output = folder_ / "in";
  run({folder_ / "in/a.png"});
  EXPECT_THAT(error_, HasSubstr("a.png"));  // the mask would replace the picture
  run({folder_ / "nothing.png"});
  EXPECT_THAT(error_, HasSubstr("no such file"));
}

TEST_F(Segment, SubjectsAreFoundByTheirNames) {
  for (const char* subject : {"bert", "anna"}) {
    fs::create_directories(folder_ / ("subjects/" + std::string(subject) + "/mri"));
    write_volume(folder_ / ("subjects/" + std::string(subject) + "/mri/norm.mgz"),
                 Volume<float>(grid({4, 4, 4}), 1));
  }
  const ImagesToSegment found = find_images({folder_ / "subjects"});
  EXPECT_EQ(found.task, "volumes");
  ASSERT_THAT(found.images, SizeIs(2));
  EXPECT_EQ(found.images[0].name, "anna");
  EXPECT_THAT(found.images[0].path, HasSubstr("anna/mri/norm.mgz"));
}

}  // namespace
}  // namespace mambaseg

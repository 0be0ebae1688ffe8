// A drawn BIDS data set through a model whose answer is known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "mambaseg/io/image.h"
#include "mambaseg/report/table_file.h"
#include "mambaseg/segment/segment_bids.h"
#include "tests/io/temporary_folder.h"
#include "tests/metrics/blobs.h"
#include "tests/models/drawn_model.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class Bids : public testing::Test {
 protected:
  void SetUp() override {
    const std::string model = folder_ / "box/two-balls";
    fs::create_directories(model);
    write_drawn_weights(
        model + "/a.safetensors", "medsegmamba",
        {{"conform", "none"},
         {"orientation", "RAS"},
         {"patch", {16, 16, 16}},
         {"classes", {{{"name", "Left-Ball"}, {"ids", {10}}}, {{"name", "Right-Ball"}, {"ids", {49}}}}}},
        3, 1);
    write_bytes(model + "/model.toml",
                card_text("volumes", stage_table(model, "a.safetensors") + "[limits]\nagreement = 0.8\n"));
    request_.dataset = folder_ / "data";
    request_.segment.output = folder_ / "data/derivatives/mambaseg";
    request_.segment.model_folders = {folder_ / "box"};
    request_.segment.version = "test";
    request_.segment.precision = Precision::fp32;
    image("sub-01/ses-1/anat/sub-01_ses-1_acq-fast_T1w.nii.gz", 50);
    image("sub-01/ses-2/anat/sub-01_ses-2_T1w.nii", 70);
    image("sub-01/ses-2/anat/sub-01_ses-2_T2w.nii.gz", 70);
    image("sub-02/anat/sub-02_T1w.nii.gz", 60);
    fs::create_directories(folder_ / "data/sub-03/func");
    write_bytes(folder_ / "data/dataset_description.json",
                R"({"Name": "drawn", "BIDSVersion": "1.8.0", "DatasetDOI": "doi:10.1/x"})");
  }

  std::string image(const std::string& name, float value) {
    const std::string path = folder_ / ("data/" + name);
    fs::create_directories(fs::path(path).parent_path());
    Volume<float> drawn(grid({20, 18, 17}, {1, 1, 2}));
    for (int64_t k = 4; k < 11; ++k)
      for (int64_t j = 3; j < 11; ++j)
        for (int64_t i = 5; i < 14; ++i) drawn.at(i, j, k) = value + float(i);
    write_volume(path, drawn);
    return path;
  }
  std::string out(const std::string& name) const { return request_.segment.output + "/" + name; }

  template <class Level>
  std::string error_of(Level level) {
    notes_.clear(), warnings_.clear();
    try {
      level(request_, {{},
                       [&](const std::string& line) { warnings_.push_back(line); },
                       [&](const std::string& line) { notes_.push_back(line); }});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  std::string segment() { return error_of(segment_bids); }
  std::string tabulate() { return error_of(tabulate_bids); }

  TemporaryFolder folder_;
  BidsRequest request_;
  std::vector<std::string> notes_, warnings_;
};

TEST_F(Bids, EveryT1GetsTheLabelsThatSegmentGivesIt) {
  ASSERT_EQ(segment(), "");
  const std::string alone = folder_ / "alone";
  SegmentRequest one = request_.segment;
  one.inputs = {folder_ / "data/sub-01/ses-2/anat/sub-01_ses-2_T1w.nii"};
  one.output = alone;
  const auto silent = [](const std::string&) {};
  segment_images(one, {{}, silent, silent});
  const std::string stem = "sub-01/ses-2/anat/sub-01_ses-2_desc-twoballs_";
  const std::string bytes = read_bytes(out(stem + "dseg.nii.gz"));
  EXPECT_THAT(read_labels(out(stem + "dseg.nii.gz")).voxels, Contains(10));
  EXPECT_EQ(bytes, read_bytes(alone + "/sub-01_ses-2_T1w.nii.gz"));
  const Json theirs = read_json(alone + "/sub-01_ses-2_T1w.json"), ours = read_json(out(stem + "dseg.json"));
  for (const char* key : {"structures", "flags", "quality", "model", "model_version"})
    EXPECT_EQ(ours.at(key), theirs.at(key)) << key;
  EXPECT_EQ(ours["Sources"], Json({"bids:raw:sub-01/ses-2/anat/sub-01_ses-2_T1w.nii"}));
  EXPECT_TRUE(fs::exists(out("sub-01/ses-1/anat/sub-01_ses-1_acq-fast_desc-twoballs_dseg.nii.gz")));
  EXPECT_TRUE(fs::exists(out("sub-02/anat/sub-02_desc-twoballs_dseg.nii.gz")));
  EXPECT_FALSE(fs::exists(out("sub-03")));
}

TEST_F(Bids, TheDerivativesDescribeThemselves) {
  request_.selection.participants = {"02"};
  ASSERT_EQ(segment(), "");
  const Json description = read_json(out("dataset_description.json"));
  EXPECT_EQ(description["DatasetType"], "derivative");
  EXPECT_EQ(description["GeneratedBy"], Json::parse(R"([{"Name": "mambaseg", "Version": "test"}])"));
  EXPECT_EQ(description["DatasetLinks"]["raw"], "../..");
  EXPECT_EQ(description["SourceDatasets"], Json::parse(R"([{"DOI": "doi:10.1/x"}])"));
  const TableFile numbers = read_table_file(out("desc-twoballs_dseg.tsv"));
  EXPECT_THAT(numbers.columns, ElementsAre("index", "name", "color"));
  ASSERT_THAT(numbers.rows, SizeIs(2));
  EXPECT_THAT(numbers.rows[0], ElementsAre("10", "Left-Ball", testing::MatchesRegex("#[0-9a-f]{6}")));
  const TableFile volumes = read_table_file(out("sub-02/anat/sub-02_desc-twoballs_morph.tsv"));
  EXPECT_THAT(volumes.columns, ElementsAre("index", "name", "voxels", "volume", "agreement"));
  const Volume<int32_t> labels = read_labels(out("sub-02/anat/sub-02_desc-twoballs_dseg.nii.gz"));
  const auto count = std::count(labels.voxels.begin(), labels.voxels.end(), 10);
  ASSERT_GE(count, 9 * 8 * 7);
  // The network says Left everywhere: mirrored back that is Right.
  ASSERT_THAT(volumes.rows, SizeIs(2));
  EXPECT_THAT(volumes.rows[0],
              ElementsAre("10", "Left-Ball", std::to_string(count), std::to_string(2 * count), "0"));
  const Json meaning = read_json(out("desc-twoballs_morph.json"));
  for (const std::string& column : volumes.columns) EXPECT_TRUE(meaning.contains(column)) << column;
}

TEST_F(Bids, ABrokenFileStopsNobodyElseAndIsInTheGroupTable) {
  write_bytes(folder_ / "data/sub-01/ses-2/anat/sub-01_ses-2_T1w.nii", "no image");
  EXPECT_THAT(segment(), HasSubstr("1 of 3 cases failed"));
  request_.segment.quick = true;
  image("sub-04/anat/sub-04_T1w.nii.gz", 60);
  ASSERT_EQ(tabulate(), "");
  EXPECT_THAT(notes_, Contains(HasSubstr("2 of 4 images have labels")));
  const TableFile group = read_table_file(out("group_desc-twoballs_morph.tsv"));
  ASSERT_THAT(group.rows, SizeIs(4));
  const auto cell = [&](size_t row, const char* column) { return group.rows[row][group.column(column)]; };
  EXPECT_EQ(cell(0, "participant_id"), "sub-01");
  EXPECT_EQ(cell(0, "session_id"), "ses-1");
  EXPECT_EQ(cell(0, "image"), "sub-01_ses-1_acq-fast_T1w");
  EXPECT_THAT(cell(0, "look_at"), HasSubstr("Left-Ball"));
  EXPECT_EQ(cell(0, "Right-Ball_mm3"), "0");
  const TableFile one =
      read_table_file(out("sub-01/ses-1/anat/sub-01_ses-1_acq-fast_desc-twoballs_morph.tsv"));
  EXPECT_EQ(cell(0, "Left-Ball_mm3"), one.rows[0][one.column("volume")]);
  EXPECT_THAT(cell(1, "look_at"), AllOf(HasSubstr("failed: "), HasSubstr("sub-01_ses-2_T1w.nii")));
  EXPECT_EQ(cell(1, "Left-Ball_mm3"), "n/a");
  EXPECT_EQ(cell(2, "session_id"), "n/a");
  EXPECT_EQ(cell(3, "look_at"), "not segmented yet");
  EXPECT_THAT(read_bytes(out("group_desc-twoballs.html")), HasSubstr("2 of 4 images"));

  image("sub-01/ses-2/anat/sub-01_ses-2_T1w.nii", 70);  // mended
  write_bytes(out("sub-02/anat/sub-02_desc-twoballs_dseg.nii.gz"), "kept");
  ASSERT_EQ(segment(), "");
  EXPECT_THAT(notes_, Contains(HasSubstr("2 of 4 images have labels already")));
  EXPECT_EQ(read_bytes(out("sub-02/anat/sub-02_desc-twoballs_dseg.nii.gz")), "kept");
  ASSERT_EQ(tabulate(), "");
  EXPECT_EQ(read_table_file(out("group_desc-twoballs_morph.tsv")).rows[1][4], "n/a");
  request_.segment.overwrite = true;
  ASSERT_EQ(segment(), "");
  EXPECT_NE(read_bytes(out("sub-02/anat/sub-02_desc-twoballs_dseg.nii.gz")), "kept");
}

TEST_F(Bids, LabelsOfParticipantsAndSessionsChoose) {
  const auto names = [&](const BidsSelection& selection) {
    std::vector<std::string> found;
    for (const BidsImage& one : find_bids_images(request_.dataset, selection)) found.push_back(one.name());
    return found;
  };
  EXPECT_THAT(names({}), ElementsAre("sub-01_ses-1_acq-fast_T1w", "sub-01_ses-2_T1w", "sub-02_T1w"));
  EXPECT_THAT(names({{"sub-02"}, {}}), ElementsAre("sub-02_T1w"));
  EXPECT_THAT(names({{}, {"2"}}), ElementsAre("sub-01_ses-2_T1w"));
  EXPECT_THAT(names({{"01"}, {"ses-1"}}), ElementsAre("sub-01_ses-1_acq-fast_T1w"));
}

TEST_F(Bids, SaysInOneLineWhatIsMissing) {
  request_.selection.participants = {"07"};
  EXPECT_THAT(segment(), HasSubstr("no sub-07; it has 3 participants: sub-01, sub-02, sub-03"));
  request_.selection.participants = {"03"};
  EXPECT_THAT(segment(), HasSubstr("sub-03 has no image [ses-*/]anat/*_T1w.nii[.gz]"));
  request_.selection = {{"01"}, {"9"}};
  EXPECT_THAT(segment(), HasSubstr("no ses-9; these participants have ses-1, ses-2"));
  request_.selection = {{"02"}, {}};
  fs::remove(folder_ / "data/dataset_description.json");
  EXPECT_THAT(segment(), AllOf(HasSubstr("no dataset_description.json"), HasSubstr("found sub-01, sub-02")));
  request_.unchecked = true;
  EXPECT_EQ(segment(), "");
  EXPECT_THAT(warnings_, Contains(HasSubstr("no dataset_description.json")));
  request_.unchecked = false;
  write_bytes(folder_ / "data/dataset_description.json", R"({"Name": "drawn"})");
  EXPECT_THAT(segment(), HasSubstr("no BIDSVersion"));
  write_bytes(folder_ / "data/dataset_description.json", R"({"Name": "drawn", "BIDSVersion": "1.8.0"})");
  image("sub-02/anat/sub-02_T1w.nii", 60);
  EXPECT_THAT(segment(), HasSubstr("expected one of the two"));
}

TEST_F(Bids, TheFoldersOfOthersAreLeftAlone) {
  const std::string theirs =
      R"({"Name": "x", "BIDSVersion": "1.4.0", "GeneratedBy": [{"Name": "fMRIPrep"}]})";
  fs::create_directories(request_.segment.output);
  write_bytes(out("dataset_description.json"), theirs);
  EXPECT_THAT(segment(), HasSubstr("a data set that another program made"));
  EXPECT_EQ(read_bytes(out("dataset_description.json")), theirs);
  request_.segment.output = request_.dataset;
  EXPECT_THAT(segment(), HasSubstr("expected another folder"));
}

TEST_F(Bids, ALinkToNothingIsToldAsSuch) {
  const std::string path = folder_ / "data/sub-02/anat/sub-02_T1w.nii.gz";
  fs::remove(path);
  fs::create_symlink(".git/annex/objects/x", path);
  request_.selection.participants = {"02"};
  EXPECT_THAT(segment(), AllOf(HasSubstr("a link to a file that is not there"), HasSubstr("sub-02_T1w")));
}

}  // namespace
}  // namespace mambaseg

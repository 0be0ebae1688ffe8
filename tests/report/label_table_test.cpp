#include "mambaseg/report/label_table.h"

#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "mambaseg/io/safetensors.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

LabelTable from_text(const std::string& name, const std::string& text) {
  const TemporaryFolder folder;
  write_bytes(folder / name, text);
  return read_label_table(folder / name);
}

TEST(LabelTable, ReadsTablesWithAndWithoutHeader) {
  const LabelTable csv =
      from_text("l.csv", "id,name,volume\n0,background,9\n 2,posterior,1\n1,\"anterior\",3\n");
  EXPECT_EQ(csv.ids(), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(csv.name(1), "anterior");
  EXPECT_EQ(csv.name(2), "posterior");
  EXPECT_EQ(csv.name(17), "label 17");
  const LabelTable freesurfer = from_text("lut.txt",
                                          "#No. Label Name: R G B A\n\n0   Unknown      0 0 0 0\n17  "
                                          "Left-Hippocampus  220 216 20 0\n10 Left-Thalamus 0 118 14 0\r\n");
  EXPECT_EQ(freesurfer.ids(), (std::vector<int32_t>{10, 17}));
  EXPECT_EQ(freesurfer.name(17), "Left-Hippocampus");
  EXPECT_EQ(from_text("l.tsv", "index\tname\n4\tleft ventricle, body\n").name(4), "left ventricle, body");
}

TEST(LabelTable, TextComesAsEditorsWriteIt) {
  const struct {
    const char *what, *file, *text;
  } tables[] = {
      {"byte order mark and CRLF", "l.csv",
       "\xEF\xBB\xBF"
       "1,liver\r\n2,spleen\r\n"},
      {"byte order mark before a header", "l.csv", "\xEF\xBB\xBFnumber,name\r\n1,liver\r\n2,spleen"},
      {"byte order mark before a comment", "l.txt", "\xEF\xBB\xBF# organs\n1 liver\n2 spleen\n"},
      {"CR alone", "l.csv", "1,liver\r2,spleen\r"},
      {"numbers that were floats", "l.csv", "1.0,liver\n2.00,spleen\n"},
      {"no last line end", "l.tsv", "1\tliver\n2\tspleen"},
      {"semicolons", "l.csv", "1;liver\n2;spleen\n"},
      {"semicolons and commas in names", "l.csv", "id;name;note\n1;liver;left, right\n2;spleen;\n"},
      {"tabs in .csv", "l.csv", "1\tliver\n2\tspleen\n"},
      {"name before number", "l.csv", "name,id\nliver,1\nspleen,2\n"},
      {"name before number, no header that is known", "l.csv", "was,wo\nliver,1\nspleen,2\n"},
      {"BIDS dseg.tsv", "l.tsv",
       "index\tname\tabbreviation\tcolor\n1\tliver\tL\t#ff0000\n2\tspleen\tS\t#00ff00\n"},
      {"BIDS mapping in front", "l.tsv", "abbreviation\tindex\tname\nL\t1\tliver\nS\t2\tspleen\n"},
      {"quotes", "l.csv", "\"1\", \"liver\"\n\"2\",\"spleen\"\n"},
      {"comments", "l.csv", "# a\n// b\n\n1,liver\n  # c\n2,spleen\n"},
      {"the same twice", "l.csv", "1,liver\n2,spleen\n1,liver\n"},
      {"capitals", "L.CSV", "1,liver\n2,spleen\n"},
      {"ITK-SNAP", "l.label",
       "####\n# ITK-SnAP Label Description File\n    0     0    0    0        0  0  0    \"Clear Label\"\n"
       "    1   255    0    0        1  1  1    \"liver\"\n    2     0  255    0      0.5  1  1    "
       "\"spleen\"\n"},
      {"Slicer's colours", "l.ctbl",
       "# Color table file\n0 background 0 0 0 0\n1 liver 221 130 101 255\n2 spleen 157 108 162 255\n"},
  };
  for (const auto& table : tables) {
    const LabelTable read = from_text(table.file, table.text);
    EXPECT_EQ(read.ids(), (std::vector<int32_t>{1, 2})) << table.what;
    EXPECT_EQ(read.name(1), "liver") << table.what;
    EXPECT_EQ(read.name(2), "spleen") << table.what;
  }
  EXPECT_EQ(from_text("l.csv", "1,\"ventricle, \"\"left\"\"\"\n").name(1), "ventricle, \"left\"");
  EXPECT_EQ(from_text("l.txt", "7 left kidney\n").name(7), "left kidney");
  EXPECT_EQ(from_text("l.txt", "7 segment 12\n8 segment 13\n").name(7), "segment 12");
  EXPECT_EQ(from_text("l.txt", "1 Precentral_L 2001\n2 Precentral_R 2002\n").name(2), "Precentral_R");
  EXPECT_EQ(from_text("l.txt", "7 left kidney 255 0 0 1\n").name(7), "left kidney");
  EXPECT_EQ(from_text("d.json", "\xEF\xBB\xBF{\"labels\": {\"liver\": 1}}").name(1), "liver");
}

TEST(LabelTable, ReadsTheKindsOfJsonAndToml) {
  const auto nnunet = from_text(
      "dataset.json", R"({"labels": {"background": 0, "lesion": 1, "edema": 2}, "numTraining": 3})");
  EXPECT_EQ(nnunet.name(2), "edema");
  EXPECT_EQ(from_text("d.json", R"({"labels": {"0": "background", "1": "Anterior"}})").name(1), "Anterior");
  EXPECT_EQ(from_text("d.json", R"({"7": "pons"})").name(7), "pons");
  const auto recipe = from_text("r.toml",
                                "[[plan.classes]]\nname = \"hippocampus\"\nids = [17, "
                                "53]\n[[plan.classes]]\nname = \"other\"\nids = [3]\n");
  EXPECT_TRUE(recipe.knows(53));
  EXPECT_FALSE(recipe.knows(9));
  EXPECT_EQ(recipe.ids(), (std::vector<int32_t>{3, 17}));
  Volume<int32_t> image;
  image.voxels = {0, 53, 17, 3, 9};
  recipe.merge(image);
  EXPECT_EQ(image.voxels, (std::vector<int32_t>{0, 17, 17, 3, 9}));
}

TEST(LabelTable, ListsThatShareNumbersAreRegions) {
  const auto brats = from_text("dataset.json", R"({"labels": {"background": 0, "whole tumor": [1, 2, 3],
      "core": [2, 3], "active": 3, "ignore": 4}, "regions_class_order": [1, 2, 3]})");
  EXPECT_TRUE(brats.regions);
  EXPECT_EQ(brats.ignore, 4);
  EXPECT_EQ(brats.ids(), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(brats.name(2), "core");
  EXPECT_EQ(brats.entries[1].also, (std::vector<int32_t>{2, 3}));
  EXPECT_TRUE(brats.knows(4));
  EXPECT_FALSE(brats.knows(5));
  Volume<int32_t> image;
  image.voxels = {0, 3, 2, 1};
  brats.merge(image);
  EXPECT_EQ(image.voxels, (std::vector<int32_t>{0, 3, 2, 1}));
  // The order of the file, not of the alphabet; without an order regions are counted.
  const auto liver = from_text("d.json", R"({"labels": {"organ": [1, 2], "flesh": [1], "tumor": [2]}})");
  EXPECT_EQ(liver.ids(), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(liver.name(1), "organ");
  const auto plan =
      from_text("r.toml",
                "[plan]\nignore_label = 4\nregions_class_order = [1, 3]\n[[plan.classes]]\nname = "
                "\"whole\"\nids = [1, 3]\n[[plan.classes]]\nname = \"core\"\nids = [3]\n");
  EXPECT_TRUE(plan.regions);
  EXPECT_EQ(plan.ignore, 4);
  EXPECT_EQ(plan.name(3), "core");
}

TEST(LabelTable, OfARecipeThatExtendsAnother) {
  const TemporaryFolder folder;
  write_bytes(folder / "mine.toml", "extends = \"lbmnet_isles\"\ntraining.epochs = 3\n");
  EXPECT_EQ(read_label_table(folder / "mine.toml").name(1), "lesion");
  EXPECT_EQ(read_label_table("lbmnet_isles").name(1), "lesion");
}

TEST(LabelTable, OfAModelFile) {
  const TemporaryFolder folder;
  TensorFile model;
  model.metadata["plan"] = R"({"classes": [{"name": "hippocampus", "ids": [17, 53]}]})";
  write_safetensors(folder / "model.safetensors", model);
  EXPECT_EQ(read_label_table(folder / "model.safetensors").name(17), "hippocampus");
  model.metadata.clear();
  write_safetensors(folder / "model.safetensors", model);
  EXPECT_THROW(read_label_table(folder / "model.safetensors"), Error);
}

TEST(LabelTable, RefusesWhatCannotBeMeant) {
  EXPECT_THROW(from_text("l.csv", ""), Error);
  EXPECT_THROW(from_text("l.csv", "id,name\n"), Error);
  EXPECT_THROW(from_text("l.csv", "1,a\nx,b\n"), Error);
  EXPECT_THROW(from_text("l.csv", "1,a\n1,b\n"), Error);
  EXPECT_THROW(from_text("l.csv", "1,a\n2,a\n"), Error);
  EXPECT_THROW(from_text("l.csv", "-1,a\n"), Error);
  EXPECT_THROW(from_text("l.csv", std::string("\xFF\xFE"
                                              "1\0,\0a\0",
                                              8)),
               Error);
  EXPECT_THROW(from_text("l.json", R"({"labels": {"whole": 2, "core": 2}})"), Error);
  EXPECT_THROW(from_text("l.json", R"({"labels": {"whole": [1, 2], "ignore": 2}})"), Error);
  EXPECT_THROW(from_text("l.json", R"({"labels": {"whole": true}})"), Error);
  EXPECT_THROW(from_text("l.json", R"({"labels": {"whole": 3000000000}})"), Error);
  EXPECT_THROW(from_text("l.doc", "1,a\n"), UsageError);
  EXPECT_THROW(read_label_table("nowhere.csv"), Error);
}

}  // namespace
}  // namespace mambaseg

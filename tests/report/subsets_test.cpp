#include "mambaseg/report/subsets.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/report/files.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

/// Cases with one label of the given reference volumes in cm^3 (voxels of 1 mm^3) and Dice values.
Evaluation with_volumes(const std::vector<std::pair<std::string, double>>& cases) {
  Evaluation e;
  e.labels = {{1, "lesion", {}}};
  e.metrics = {&metric_by_name("Dice")};
  double dice = 0.1;
  for (const auto& [name, cm3] : cases) {
    CaseScores one;
    one.files.name = name;
    LabelScores label{1, Presence::both, {int64_t(1000 * cm3), 5, 0, 10}, {dice += 0.1}};
    one.labels = {label};
    e.cases.push_back(one);
  }
  return e;
}

TEST(SubsetsByVolume, PutEveryVolumeIntoOneStratum) {
  const Evaluation e = with_volumes({{"a", 2}, {"b", 10}, {"c", 50}, {"d", 51}, {"e", 0}, {"f", 9.999}});
  const auto strata = subsets_by_volume(e, 0, {10, 50});
  ASSERT_EQ(strata.size(), 3u);
  EXPECT_EQ(strata[0].name, "< 10 cm³");
  EXPECT_EQ(strata[1].name, "10–50 cm³");
  EXPECT_EQ(strata[0].cases, (std::vector<size_t>{0, 5}));
  EXPECT_EQ(strata[1].cases, (std::vector<size_t>{1, 2}));
  EXPECT_EQ(strata[2].cases, (std::vector<size_t>{3}));
  EXPECT_NEAR(describe_subset(e, 0, 0, strata[1]).mean, 0.35, 1e-12);
  EXPECT_NEAR(describe_subset(e, 0, strata[1]).mean, 0.35, 1e-12);
  EXPECT_THROW(subsets_by_volume(e, 0, {50, 10}), Error);
  EXPECT_THROW(subsets_by_volume(e, 0, {}), Error);
}

TEST(SubsetsByColumn, FindsParticipantsByTheBeginningOfTheName) {
  const TemporaryFolder folder;
  write_bytes(folder / "participants.tsv", "participant_id\tsite\nsub-1\tA\nsub-10\tB\nsub-2\tA\nsub-3\t\n");
  const TableFile table = read_table_file(folder / "participants.tsv");
  const Evaluation e =
      with_volumes({{"sub-1_T1w", 1}, {"sub-10_T1w", 1}, {"2", 1}, {"sub-3-run2", 1}, {"sub-77", 1}});
  const auto sites = subsets_by_column(e, table, "site");
  ASSERT_EQ(sites.size(), 4u);
  EXPECT_EQ(sites[0].name, "(empty)");
  EXPECT_EQ(sites[1].cases, (std::vector<size_t>{0, 2}));
  EXPECT_EQ(sites[2].cases, (std::vector<size_t>{1}));
  EXPECT_EQ(sites[3].name, "not in the table");
  EXPECT_EQ(sites[3].cases, (std::vector<size_t>{4}));
  EXPECT_THROW(subsets_by_column(e, table, "scanner"), Error);
}

TEST(TableFile, ReadsQuotesAndSemicolonsAndNamesABadLine) {
  const TemporaryFolder folder;
  write_bytes(folder / "a.csv", "\xEF\xBB\xBFid,site\r\n1,\"Oslo, \"\"north\"\"\"\r\n\r\n2,Bergen\r\n");
  const TableFile a = read_table_file(folder / "a.csv");
  EXPECT_EQ(a.columns[0], "id");
  EXPECT_EQ(a.rows[0][1], "Oslo, \"north\"");
  EXPECT_EQ(a.rows.size(), 2u);
  write_bytes(folder / "b.csv", "id;site\n1;x\n");
  EXPECT_EQ(read_table_file(folder / "b.csv").rows[0][1], "x");
  write_bytes(folder / "c.csv", "id,site\n1\n");
  EXPECT_THROW(read_table_file(folder / "c.csv"), Error);
  write_bytes(folder / "d.csv", "");
  EXPECT_THROW(read_table_file(folder / "d.csv"), Error);
  EXPECT_THROW(read_table_file(folder / "none.csv"), Error);
  EXPECT_EQ(csv_line({"a,b", "c\"d", "e"}), "\"a,b\",\"c\"\"d\",e\n");
}

TEST(Files, CasesAndVolumesAsText) {
  Evaluation e = with_volumes({{"a", 2}});
  e.labels[0].name = "left lesion";
  e.cases[0].voxel_volume_mm3 = 0.5;
  EXPECT_EQ(cases_csv(e),
            "case,label,name,presence,TP,FP,FN,TN,Dice\na,1,left lesion,both,2000,5,0,10,0.2\n");
  const std::string stats = aseg_stats(e, e.cases[0]);
  EXPECT_NE(stats.find("# ColHeaders Index SegId NVoxels Volume_mm3 StructName\n"), std::string::npos);
  EXPECT_NE(stats.find("  1     1      2005       1002.5  left-lesion\n"), std::string::npos) << stats;
  EXPECT_EQ(short_number(0.25), "0.25");
  EXPECT_EQ(short_number(HUGE_VAL), "");
}

}  // namespace
}  // namespace mambaseg

#include "mambaseg/report/page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/report/case_pictures.h"
#include "mambaseg/report/html.h"
#include "mambaseg/report/page_parts.h"
#include "mambaseg/report/plots.h"
#include "tests/io/temporary_folder.h"
#include "tests/metrics/blobs.h"

namespace mambaseg {
namespace {

size_t count_of(const std::string& text, const std::string& piece) {
  size_t count = 0;
  for (size_t at = text.find(piece); at != std::string::npos; at = text.find(piece, at + 1)) ++count;
  return count;
}

/// Every tag that is opened is closed, in order.
void expect_well_formed(const std::string& html) {
  static const std::set<std::string> alone{"!DOCTYPE", "meta", "img", "br"};
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const size_t end = html.find('>', at);
    ASSERT_NE(end, std::string::npos);
    const bool closing = html[at + 1] == '/';
    const size_t begin = at + (closing ? 2 : 1);
    const std::string name = html.substr(begin, html.find_first_of(" >/", begin) - begin);
    if (alone.count(name) || html[end - 1] == '/') continue;
    if (!closing) {
      open.push_back(name);
      continue;
    }
    ASSERT_FALSE(open.empty()) << name;
    ASSERT_EQ(open.back(), name);
    open.pop_back();
  }
  EXPECT_TRUE(open.empty());
}

class Page : public testing::Test {
 protected:
  Page() {
    for (const char* sub : {"r", "p", "i"}) std::filesystem::create_directory(folder / sub);
    for (int c = 0; c < 5; ++c) {
      const std::string name = "/case" + std::to_string(c);
      Volume<int32_t> reference(geometry), prediction(geometry);
      draw_ball(reference, {7, 7, 6}, 4, 1);
      draw_ball(prediction, {7.0 + c, 7, 6}, 4, 1);
      if (c == 4) draw_ball(reference, {12, 3, 3}, 1, 2);
      write_labels(folder / ("r" + name + ".nii.gz"), reference);
      write_labels(folder / ("p" + name + ".nii.gz"), prediction);
      Volume<float> image(geometry);
      for (size_t v = 0; v < image.voxels.size(); ++v) image.voxels[v] = float(v % 97);
      write_volume(folder / ("i" + name + "_0000.nii.gz"), image);
    }
    options.labels = label_table_from_json({{"<ball> & co", 1}, {"missed one", 2}}, "test");
    evaluation = evaluate(pair_cases(folder / "r", folder / "p"), options);
  }
  TemporaryFolder folder;
  Geometry geometry = grid({18, 15, 13}, {1, 1, 1.5});
  EvaluationOptions options;
  Evaluation evaluation;
};

TEST_F(Page, HoldsTablesPlotsAndPicturesAndNothingFromElsewhere) {
  PageContent content;
  content.groupings.push_back({"By volume", subsets_by_volume(evaluation, 0, {0.1, 1}), 0});
  content.pictures = write_case_pictures(evaluation, options, folder / "i", folder / "o", 2);
  EXPECT_EQ(content.pictures.size(), 4u);
  EXPECT_NE(content.pictures[0].caption.find("Worst: case4"), std::string::npos);
  EXPECT_NE(content.pictures[3].caption.find("Best: case0"), std::string::npos);
  const std::string html = evaluation_page(evaluation, content, {"mambaseg evaluate -r \"a&b\"", "9.9"});
  expect_well_formed(html);
  EXPECT_EQ(count_of(html, "data:image/png;base64,iVBOR"), 4u);
  EXPECT_EQ(count_of(html, "<ball>"), 0u);
  EXPECT_GT(count_of(html, "&lt;ball&gt; &amp; co"), 3u);
  EXPECT_EQ(count_of(html, "<script"), 0u);
  EXPECT_EQ(count_of(html, "http"), 0u);
  EXPECT_GT(count_of(html, "class=\"box\""), 3u);
  EXPECT_EQ(count_of(html, "class=\"plot\""), 1u);  // only the first structure has two volumes
  content.pictures.clear();                         // base64 may hold any letters
  EXPECT_EQ(count_of(evaluation_page(evaluation, content, {}), "nan"), 0u);
  EXPECT_NE(html.find("a&amp;b"), std::string::npos);
  EXPECT_NE(html.find("no missed one"), std::string::npos);
}

TEST_F(Page, OfAComparison) {
  Method a{"first", evaluation}, b{"second", evaluation};
  for (CaseScores& one : b.evaluation.cases) one.labels[0].values[0] = 0.3;
  const Comparison comparison = compare_methods({a, b});
  const std::string html = comparison_page(comparison, {"Comparison"}, {"mambaseg compare", "9.9"});
  expect_well_formed(html);
  EXPECT_NE(html.find("first – second"), std::string::npos);
  EXPECT_EQ(count_of(html, "nan"), 0u);
}

TEST_F(Page, PicturesWithoutImagesAndOfMasks) {
  EXPECT_EQ(write_case_pictures(evaluation, options, "", folder / "o", 9).size(), 5u);
  Picture mask{30, 20, 3, std::vector<uint8_t>(1800, 0)};
  for (size_t v = 300; v < 900; ++v) mask.values[v] = 255;
  write_picture(folder / "mask.png", mask);
  EvaluationOptions masks;
  masks.threshold = 127;
  const Evaluation e = evaluate(pair_cases(folder / "mask.png", folder / "mask.png"), masks);
  EXPECT_EQ(e.cases[0].labels[0].counts.tp, 200);
  const auto pictures = write_case_pictures(e, masks, folder.string(), folder / "o", 1);
  ASSERT_EQ(pictures.size(), 1u);
  const Picture drawn = read_picture(pictures[0].path);
  // Rows 3 to 10 of 20 are set: the upper half is coloured, row 0 of the file is on top.
  const auto coloured = [&](double y) {
    const uint8_t* rgb = &drawn.values[size_t(3 * (40 + drawn.width * int64_t(y)))];
    return rgb[0] != rgb[1];
  };
  const double top = 20, height = 320 * 20.0 / 30;
  EXPECT_TRUE(coloured(top + 0.35 * height));
  EXPECT_FALSE(coloured(top + 0.75 * height));
  mask.values[1] = 7;
  write_picture(folder / "mask.png", mask);
  EXPECT_THROW(evaluate(pair_cases(folder / "mask.png", folder / "mask.png"), masks), Error);
}

TEST_F(Page, PicturesShowOnlyWhatIsScored) {
  const auto picture_bytes = [&](const LabelTable& table) {
    options.labels = table;
    const Evaluation e = evaluate(pair_cases(folder / "r/case4.nii.gz", folder / "p/case4.nii.gz"), options);
    return read_bytes(write_case_pictures(e, options, "", folder / "o", 1).at(0).path);
  };
  const std::string both = picture_bytes(options.labels);
  const std::string ball = picture_bytes(label_table_from_json({{"ball", 1}}, "test"));
  EXPECT_NE(ball, both);
  Volume<int32_t> reference = read_labels(folder / "r/case4.nii.gz");
  std::replace(reference.voxels.begin(), reference.voxels.end(), 2, 0);
  write_labels(folder / "r/case4.nii.gz", reference);
  EXPECT_EQ(ball, picture_bytes(options.labels));
}

TEST(NumberCell, HasThreeDigits) {
  EXPECT_EQ(number_cell(0.64), "0.640");
  EXPECT_EQ(number_cell(2), "2.00");
  EXPECT_EQ(number_cell(-27.94), "-27.9");
  EXPECT_EQ(number_cell(4321), "4321");
  EXPECT_EQ(number_cell(std::nan("")), "–");
  EXPECT_EQ(mean_cell(describe(std::vector<double>{2, 3, 4})), "3.00 <span class=\"soft\">± 1.00</span>");
}

TEST(AxisTicks, AreRound) {
  EXPECT_FALSE(std::signbit(axis_ticks(0, 1, 4)[0]));
  EXPECT_EQ(axis_ticks(0, 1, 4), (std::vector<double>{0, 0.5, 1}));
  EXPECT_EQ(axis_ticks(-3, 7, 5), (std::vector<double>{-2, 0, 2, 4, 6}));
  EXPECT_EQ(axis_ticks(5, 5, 4), (std::vector<double>{5}));
}

TEST(BoxPlots, WithoutValuesSaySo) {
  const std::string html = box_plots({{"a", {}}, {"b", {0.5}}}, true, "");
  EXPECT_NE(html.find("–"), std::string::npos);
  EXPECT_EQ(count_of(html, "class=\"box\""), 1u);
}

TEST(Html, TextTablesAndBase64) {
  EXPECT_EQ(html_text("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
  const TemporaryFolder folder;
  write_bytes(folder / "x.png", "abcd");
  EXPECT_NE(html_png(folder / "x.png", "d").find("base64,YWJjZA==\""), std::string::npos);
  EXPECT_THROW(html_png(folder / "none.png", "d"), Error);
  EXPECT_EQ(html_table({"a"}, {}), "");
  EXPECT_EQ(count_of(html_table({"a"}, {{"only names"}}), "<table>"), 1u);
  std::vector<std::string> header{"name"}, row{"case"};
  for (int c = 0; c < 12; ++c) {
    header.push_back("metric " + std::to_string(c));
    row.push_back(std::to_string(c));
  }
  const std::string wide = html_table(header, {row});
  expect_well_formed(wide);
  EXPECT_EQ(count_of(wide, "<table>"), 2u);
  EXPECT_EQ(count_of(wide, "<td>case</td>"), 2u);
  EXPECT_EQ(count_of(wide, "metric "), 12u);
}

}  // namespace
}  // namespace mambaseg

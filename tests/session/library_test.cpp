// The library as other programs see it: its public headers and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <thread>

#include "mambaseg/mambaseg.hpp"
#include "tests/io/temporary_folder.h"
#include "tests/session/small_models.h"

namespace {

using mambaseg::ImageView;
using mambaseg::Listener;
using mambaseg::Segmentation;
using mambaseg::Segmenter;
using mambaseg::Settings;
using mambaseg::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Settings fp32(int32_t threads = 1) {
  Settings settings;
  settings.precision = "fp32";
  settings.threads = threads;
  return settings;
}

/// Labels as a copy.
template <class Value>
std::vector<Value> values_of(const Segmentation& found) {
  const ImageView labels = found.labels();
  return {labels.data<Value>(), labels.data<Value>() + labels.count()};
}

/// Code and message of the Error that `action` throws.
template <class Action>
std::pair<int32_t, std::string> failure_of(const Action& action) {
  try {
    action();
  } catch (const mambaseg::Error& error) {
    return {error.code(), error.what()};
  }
  return {MAMBASEG_DONE, ""};
}

class Library : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    mambaseg::write_volume_model(volumes());
    mambaseg::write_picture_model(pictures());
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string volumes() { return *folder_ / "balls.safetensors"; }
  static std::string pictures() { return *folder_ / "spots.safetensors"; }

  /// 26 x 20 x 18 waves, of another kind for each seed.
  static std::vector<float> waves(double seed) {
    std::vector<float> values;
    for (int k = 0; k < 18; ++k)
      for (int j = 0; j < 20; ++j)
        for (int i = 0; i < 26; ++i)
          values.push_back(static_cast<float>(60 + 50 * std::sin(seed * i) * std::cos(0.3 * j + seed) *
                                                       std::sin(0.2 * k)));
    return values;
  }
  static ImageView volume(const std::vector<float>& values) {
    return ImageView::volume(values.data(), {26, 20, 18}, {1, 1.5, 2});
  }
  static std::vector<uint8_t> stripes(int seed) {
    std::vector<uint8_t> values;
    for (int p = 0; p < 40 * 24; ++p)
      for (int c = 0; c < 3; ++c)
        values.push_back(static_cast<uint8_t>((p % 40) * seed + p / 40 * 7 + c * 20));
    return values;
  }
  static ImageView picture(const std::vector<uint8_t>& values) {
    return ImageView::picture(values.data(), 40, 24, 3);
  }

  static TemporaryFolder* folder_;
};
TemporaryFolder* Library::folder_ = nullptr;

TEST_F(Library, LabelsLieOnTheGridOfTheImage) {
  Segmenter segmenter(volumes(), fp32());
  EXPECT_FALSE(segmenter.reads_pictures());
  EXPECT_EQ(segmenter.source(), volumes());
  const std::vector<float> image = waves(0.4);
  const std::array<std::array<double, 4>, 3> rows{{{0, -1.5, 0, 7}, {-1, 0, 0, 8}, {0, 0, 2, -9}}};
  const Segmentation found = segmenter(volume(image).with_affine(rows));
  const ImageView labels = found.labels();
  EXPECT_THAT(labels.c().size, ElementsAre(26, 20, 18));
  EXPECT_EQ(labels.c().type, MAMBASEG_INT32);
  for (size_t r = 0; r < 3; ++r)
    for (size_t c = 0; c < 4; ++c) EXPECT_EQ(labels.c().affine[r][c], rows[r][c]);
  const std::vector<int32_t> values = values_of<int32_t>(found);
  const std::set<int32_t> numbers(values.begin(), values.end());
  EXPECT_GE(numbers.size(), 2u) << "one label everywhere compares nothing";
  const auto structures = found.structures();
  ASSERT_EQ(structures.size(), 2u);
  EXPECT_EQ(structures[0].name, "Left-Ball");
  for (const auto& one : structures) {
    EXPECT_EQ(one.voxels, std::count(values.begin(), values.end(), one.label));
    EXPECT_DOUBLE_EQ(one.mm3, 3.0 * static_cast<double>(one.voxels));
  }
}

TEST_F(Library, TwoSegmentersOnTwoThreadsGiveWhatTheyGiveOneAfterTheOther) {
  std::vector<std::vector<int32_t>> alone, beside(2);
  std::vector<std::vector<float>> images{waves(0.4), waves(0.7)};
  for (size_t s = 0; s < 2; ++s) {
    Segmenter segmenter(volumes(), fp32());
    alone.push_back(values_of<int32_t>(segmenter(volume(images[s]))));
  }
  ASSERT_NE(alone[0], alone[1]);
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::vector<std::thread> threads;
    for (size_t s = 0; s < 2; ++s)
      threads.emplace_back([&, s] {
        Segmenter segmenter(volumes(), fp32());
        beside[s] = values_of<int32_t>(segmenter(volume(images[s])));
      });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(beside, alone);
  }
}

TEST_F(Library, ASegmenterTakesImagesOfSeveralThreadsInSteps) {
  Segmenter segmenter(pictures(), fp32(2));
  EXPECT_TRUE(segmenter.reads_pictures());
  std::vector<std::vector<uint8_t>> alone, beside(4);
  for (int s = 0; s < 4; ++s) alone.push_back(values_of<uint8_t>(segmenter(picture(stripes(3 + s)))));
  ASSERT_NE(alone[0], alone[1]) << "masks that are all the same compare nothing";
  std::vector<std::thread> threads;
  for (size_t s = 0; s < 4; ++s)
    threads.emplace_back([&, s] {
      const std::vector<uint8_t> values = stripes(3 + static_cast<int>(s));
      mambaseg::Case one = segmenter.prepare(picture(values));
      segmenter.infer(one);
      beside[s] = values_of<uint8_t>(segmenter.finish(one));
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(beside, alone);
}

TEST_F(Library, TheCallingThreadStaysAsItIs) {
  const auto before = mambaseg::thread_state();
  Segmenter segmenter(volumes(), fp32(1));
  const std::vector<float> image = waves(0.4);
  segmenter(volume(image));
  EXPECT_EQ(mambaseg::thread_state(), before);
}

TEST_F(Library, GapsAndDirectionsInMemoryDoNotMatter) {
  Segmenter segmenter(volumes(), fp32());
  const std::vector<float> image = waves(0.4);
  const auto expected = values_of<int32_t>(segmenter(volume(image)));
  // As numpy lays it out: k fastest, with a gap; and i from its end.
  std::vector<float> turned(26 * 20 * 19, -1e6f);
  for (size_t k = 0; k < 18; ++k)
    for (size_t j = 0; j < 20; ++j)
      for (size_t i = 0; i < 26; ++i) turned[((25 - i) * 20 + j) * 19 + k] = image[i + 26 * (j + 20 * k)];
  const ImageView view = ImageView::volume(turned.data() + 25 * 20 * 19, {26, 20, 18}, {1, 1.5, 2})
                             .with_strides({-20 * 19 * 4, 19 * 4, 4});
  EXPECT_EQ(values_of<int32_t>(segmenter(view)), expected);

  Segmenter spots(pictures(), fp32());
  const std::vector<uint8_t> colours = stripes(5);
  std::vector<uint8_t> planes(colours.size());
  for (size_t p = 0; p < 40 * 24; ++p)
    for (size_t c = 0; c < 3; ++c) planes[c * 40 * 24 + p] = colours[p * 3 + c];
  const auto mask = values_of<uint8_t>(spots(picture(colours)));
  EXPECT_NE(std::set<uint8_t>(mask.begin(), mask.end()).size(), 1u)
      << "a mask that is one value compares nothing";
  EXPECT_EQ(values_of<uint8_t>(spots(picture(planes).with_strides({1, 40, 40 * 24}, 40 * 24))), mask);
}

TEST_F(Library, ACancelledCallLeavesNothing) {
  Segmenter segmenter(volumes(), fp32());
  const std::vector<float> image = waves(0.4);
  const auto expected = values_of<int32_t>(segmenter(volume(image)));
  int calls = 0, most = 0;
  Listener count;
  count.progress = [&](const std::string&, int64_t, int64_t) { return ++most > 0; };
  segmenter(volume(image), true, count);
  ASSERT_GE(most, 5);                        // patches of two looks
  for (const int last : {1, 2, most - 1}) {  // before the first patch, in the first look, in the second
    calls = 0;
    Listener cancel;
    cancel.progress = [&](const std::string&, int64_t, int64_t) { return ++calls < last; };
    EXPECT_EQ(failure_of([&] { segmenter(volume(image), true, cancel); }).first, MAMBASEG_CANCELLED);
    EXPECT_EQ(calls, last);
  }
  EXPECT_EQ(values_of<int32_t>(segmenter(volume(image))), expected);

  mambaseg_listener c{};
  c.progress = [](void*, const char*, int64_t, int64_t) -> int32_t { return 1; };
  mambaseg_segmenter* other = nullptr;
  ASSERT_EQ(mambaseg_segmenter_open(volumes().c_str(), nullptr, &other, nullptr), MAMBASEG_DONE);
  mambaseg_segmentation* found = reinterpret_cast<mambaseg_segmentation*>(1);
  mambaseg_error error{};
  EXPECT_EQ(mambaseg_segment(other, &volume(image).c(), 0, &c, &found, &error), MAMBASEG_CANCELLED);
  EXPECT_EQ(found, nullptr);
  EXPECT_EQ(error.code, MAMBASEG_CANCELLED);
  mambaseg_segmenter_close(other);
}

TEST_F(Library, WhatAListenerThrowsComesOut) {
  Segmenter segmenter(volumes(), fp32());
  const std::vector<float> image = waves(0.4);
  Listener listener;
  listener.progress = [](const std::string&, int64_t, int64_t) -> bool { throw std::logic_error("mine"); };
  EXPECT_THROW(segmenter(volume(image), true, listener), std::logic_error);
}

TEST_F(Library, EachStepHappensOnce) {
  Segmenter segmenter(pictures(), fp32()), other(pictures(), fp32());
  const std::vector<uint8_t> values = stripes(5);
  mambaseg::Case one = segmenter.prepare(picture(values));
  EXPECT_EQ(failure_of([&] { segmenter.finish(one); }),
            std::pair(int32_t{MAMBASEG_MISUSED},
                      std::string("mambaseg_finish: expected an image that the network has seen; each goes "
                                  "through prepare, infer and finish once")));
  EXPECT_THAT(failure_of([&] { other.infer(one); }).second, HasSubstr("prepared by another segmenter"));
  segmenter.infer(one);
  EXPECT_EQ(failure_of([&] { segmenter.infer(one); }).first, MAMBASEG_MISUSED);
  segmenter.finish(one);
  EXPECT_EQ(failure_of([&] { segmenter.finish(one); }).first, MAMBASEG_MISUSED);
}

/// One line that begins with the function.
testing::Matcher<std::string> one_line(const std::string& start, const std::string& part) {
  return testing::AllOf(StartsWith(start), HasSubstr(part), testing::Not(HasSubstr("\n")));
}

TEST_F(Library, ModelsThatAreNotThereAreMisuse) {
  const auto [code, line] = failure_of([] { Segmenter segmenter("skin-lesio"); });
  EXPECT_EQ(code, MAMBASEG_MISUSED);
  EXPECT_THAT(
      line, one_line("mambaseg_segmenter_open: ", "there is no model skin-lesio, did you mean skin-lesion?"));
  const std::string broken = *folder_ / "broken.safetensors";
  mambaseg::write_bytes(broken, "no weights");
  const auto [other, why] = failure_of([&] { Segmenter segmenter(broken); });
  EXPECT_EQ(other, MAMBASEG_FAILED);
  EXPECT_THAT(why, one_line("mambaseg_segmenter_open: ", broken));
  Settings settings;
  settings.device = "gpu";
  EXPECT_THAT(failure_of([&] { Segmenter segmenter(volumes(), settings); }).second,
              one_line("mambaseg_segmenter_open: ", "expected cpu, cuda or cuda:1"));
  settings = {};
  settings.precision = "fp12";
  EXPECT_THAT(failure_of([&] { Segmenter segmenter(volumes(), settings); }).second, HasSubstr("fp12"));
  settings = {};
  settings.threads = -1;
  EXPECT_THAT(failure_of([&] { Segmenter segmenter(volumes(), settings); }).second, HasSubstr("got -1"));
}

TEST_F(Library, ImagesThatMakeNoSenseAreMisuse) {
  Segmenter segmenter(volumes(), fp32()), spots(pictures(), fp32());
  const std::vector<float> image = waves(0.4);
  const std::vector<uint8_t> colours = stripes(5);
  const auto refused = [&](Segmenter& which, mambaseg_image view, const std::string& part) {
    const auto [code, line] = failure_of([&] { which(ImageView(view)); });
    EXPECT_EQ(code, MAMBASEG_MISUSED) << line;
    EXPECT_THAT(line, one_line("mambaseg_prepare: image: ", part));
  };
  mambaseg_image view = volume(image).c();
  view.data = nullptr;
  refused(segmenter, view, "null pointer");
  for (const int64_t n : {int64_t{-1}, int64_t{0}, int64_t{1} << 62}) {
    view = volume(image).c();
    view.size[1] = n;
    refused(segmenter, view, "size: expected 1 or more along each axis, got 26x" + std::to_string(n) + "x18");
  }
  view = volume(image).c();
  view.type = 99;
  refused(segmenter, view, "expected a mambaseg_type, got 99");
  view = volume(image).c();
  view.channels = 2;
  refused(segmenter, view, "expected a volume of one channel, got 2");
  view = volume(image).c();
  view.stride[0] = 4;
  refused(segmenter, view, "stride: expected that of every axis");
  view = volume(image).c();
  view.spacing[2] = -1;
  refused(segmenter, view, "spacing: expected mm above 0 along each axis, got -1");
  view = volume(image).c();
  view.affine[0][0] = 1;
  refused(segmenter, view, "affine: expected a matrix that has an inverse");
  view = picture(colours).c();
  view.channels = 2;
  refused(spots, view, "channels: expected 1, 3 or 4, got 2");
  view = picture(colours).c();
  view.type = MAMBASEG_FLOAT32;
  refused(spots, view, "expected MAMBASEG_UINT8 of a picture");
  refused(spots, volume(image).c(), "expected MAMBASEG_UINT8 of a picture");
}

TEST_F(Library, AnImageWithoutContentIsAFailure) {
  Segmenter segmenter(volumes(), fp32());
  const std::vector<float> nothing(26 * 20 * 18);
  const auto [code, line] = failure_of([&] { segmenter(volume(nothing)); });
  EXPECT_EQ(code, MAMBASEG_FAILED);
  EXPECT_THAT(line, one_line("mambaseg_prepare: ", "the image is all zero"));
}

TEST_F(Library, NullPointersAreRefusedOrNothing) {
  mambaseg_error error{};
  const auto refused = [&](int32_t code, const std::string& line) {
    EXPECT_EQ(code, MAMBASEG_MISUSED);
    EXPECT_EQ(error.code, code);
    EXPECT_EQ(std::string(error.message), line + " is a null pointer");
  };
  mambaseg_file* file = nullptr;
  mambaseg_segmenter* segmenter = nullptr;
  mambaseg_segmentation* found = nullptr;
  mambaseg_case* one = nullptr;
  mambaseg_scores* scores = nullptr;
  const std::vector<float> values = waves(0.4);
  const mambaseg_image image = volume(values).c();
  refused(mambaseg_file_open(nullptr, nullptr, &file, &error), "mambaseg_file_open: path");
  refused(mambaseg_file_open("x.nii", nullptr, nullptr, &error), "mambaseg_file_open: file");
  refused(mambaseg_write(nullptr, "x.nii", &error), "mambaseg_write: image");
  refused(mambaseg_write(&image, nullptr, &error), "mambaseg_write: path");
  refused(mambaseg_segmenter_open(nullptr, nullptr, &segmenter, &error), "mambaseg_segmenter_open: model");
  refused(mambaseg_segmenter_open("x", nullptr, nullptr, &error), "mambaseg_segmenter_open: segmenter");
  refused(mambaseg_segment(nullptr, &image, 0, nullptr, &found, &error), "mambaseg_segment: segmenter");
  refused(mambaseg_segment(nullptr, &image, 0, nullptr, nullptr, &error), "mambaseg_segment: segmentation");
  refused(mambaseg_prepare(nullptr, &image, 0, nullptr, &one, &error), "mambaseg_prepare: segmenter");
  refused(mambaseg_infer(nullptr, nullptr, nullptr, &error), "mambaseg_infer: segmenter");
  refused(mambaseg_finish(nullptr, nullptr, &found, &error), "mambaseg_finish: segmenter");
  refused(mambaseg_score(&image, nullptr, nullptr, &scores, &error), "mambaseg_score: prediction: the image");
  EXPECT_EQ(mambaseg_file_open(nullptr, nullptr, &file, nullptr),
            MAMBASEG_MISUSED);  // nobody wants to know why

  ASSERT_EQ(mambaseg_segmenter_open(volumes().c_str(), nullptr, &segmenter, &error), MAMBASEG_DONE);
  refused(mambaseg_segment(segmenter, nullptr, 0, nullptr, &found, &error),
          "mambaseg_segment: image: the image");
  refused(mambaseg_infer(segmenter, nullptr, nullptr, &error), "mambaseg_infer: one");
  mambaseg_segmenter_close(segmenter);

  mambaseg_file_close(nullptr);
  mambaseg_segmenter_close(nullptr);
  mambaseg_case_close(nullptr);
  mambaseg_segmentation_close(nullptr);
  mambaseg_scores_close(nullptr);
  EXPECT_EQ(mambaseg_file_image(nullptr).data, nullptr);
  EXPECT_EQ(mambaseg_segmentation_labels(nullptr).data, nullptr);
  EXPECT_EQ(mambaseg_segmentation_structure_count(nullptr), 0);
  EXPECT_EQ(mambaseg_segmentation_structure(nullptr, 0).name, nullptr);
  EXPECT_EQ(mambaseg_segmentation_flag(nullptr, 0), nullptr);
  EXPECT_EQ(mambaseg_scores_metric(nullptr, 0), nullptr);
  EXPECT_TRUE(std::isnan(mambaseg_scores_value(nullptr, 0, 0)));
}

TEST_F(Library, LongMessagesAreCutBetweenCharacters) {
  std::string path;
  while (path.size() < 3000) path += "Übergröße/";
  mambaseg_error error{};
  mambaseg_file* file = nullptr;
  EXPECT_EQ(mambaseg_file_open(path.c_str(), nullptr, &file, &error), MAMBASEG_FAILED);
  const std::string line = error.message;
  EXPECT_LT(line.size(), sizeof error.message);
  EXPECT_GT(line.size(), sizeof error.message - 4);
  const std::string whole = "mambaseg_file_open: " + path;
  ASSERT_EQ(whole.substr(0, line.size()), line);
  EXPECT_NE(static_cast<unsigned char>(whole[line.size()]) & 0xC0, 0x80);
}

TEST_F(Library, FilesAreReadAndWritten) {
  const std::vector<float> values = waves(0.4);
  const std::string path = *folder_ / "waves.nii.gz";
  mambaseg::write(volume(values), path);
  const mambaseg::ImageFile file(path);
  const ImageView view = file.view();
  EXPECT_EQ(view.c().type, MAMBASEG_FLOAT32);
  EXPECT_THAT(view.c().spacing, ElementsAre(1, 1.5, 2));
  EXPECT_EQ(std::vector<float>(view.data<float>(), view.data<float>() + view.count()), values);
  const std::vector<uint8_t> colours = stripes(5);
  mambaseg::write(picture(colours), *folder_ / "stripes.png");
  const mambaseg::ImageFile drawn(*folder_ / "stripes.png");
  EXPECT_EQ(std::vector<uint8_t>(drawn.view().data<uint8_t>(), drawn.view().data<uint8_t>() + 40 * 24 * 3),
            colours);
  EXPECT_THAT(failure_of([] { mambaseg::ImageFile("nowhere.nii"); }).second,
              one_line("mambaseg_file_open: ", "nowhere.nii"));
}

TEST_F(Library, LabelsAreScored) {
  std::vector<int32_t> reference(6 * 5 * 4), prediction;
  for (size_t v = 0; v < 30; ++v) reference[v] = v < 20 ? 3 : 7;
  prediction = reference;
  for (size_t v = 0; v < 10; ++v) prediction[v] = 0;
  const auto view = [](const std::vector<int32_t>& labels) {
    return ImageView::volume(labels.data(), {6, 5, 4});
  };
  mambaseg::Scoring scoring;
  scoring.metrics = "Dice precision";
  scoring.threads = 1;
  const mambaseg::Scores scores(view(reference), view(prediction), scoring);
  EXPECT_THAT(scores.labels(), ElementsAre(3, 7));
  EXPECT_THAT(scores.metrics(), ElementsAre("Dice", "precision"));
  EXPECT_DOUBLE_EQ(scores.value(0, 0), 20.0 / 30);  // 10 of 20 found, nothing else
  EXPECT_DOUBLE_EQ(scores.value(0, 1), 1);
  EXPECT_DOUBLE_EQ(scores.value(1, 0), 1);
  EXPECT_TRUE(std::isnan(scores.value(2, 0)));
  scoring.metrics = "Dise";
  EXPECT_THAT(failure_of([&] { mambaseg::Scores(view(reference), view(prediction), scoring); }).second,
              one_line("mambaseg_score: ", "Dise"));
  const ImageView small = ImageView::volume(prediction.data(), {5, 5, 4});
  EXPECT_EQ(failure_of([&] { mambaseg::Scores(view(reference), small); }).first, MAMBASEG_FAILED);
  const std::vector<float> half(120, 0.5f);
  EXPECT_THAT(failure_of([&] {
                mambaseg::Scores(view(reference), ImageView::volume(half.data(), {6, 5, 4}));
              }).second,
              one_line("mambaseg_score: prediction: ", "expected whole numbers of 32 bits, got 0.5"));
}

TEST_F(Library, TheVersionIsThatOfTheHeaders) { EXPECT_EQ(mambaseg::version(), MAMBASEG_VERSION); }

}  // namespace

#include "mambaseg/core/error.h"

#include <gtest/gtest.h>

namespace mambaseg {
namespace {

TEST(Error, ContextIsPutInFrontAndTheKindIsKept) {
  try {
    with_context("case_7",
                 [] { with_context("image.nii", [] { throw UsageError("expected 1 channel, got 3"); }); });
    FAIL() << "nothing was thrown";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "case_7: image.nii: expected 1 channel, got 3");
  }
}

TEST(Error, AContextIsNotSaidTwice) {
  EXPECT_EQ(in_context("a.nii", "no such file"), "a.nii: no such file");
  EXPECT_EQ(in_context("a.nii", "a.nii: no such file"), "a.nii: no such file");
  EXPECT_EQ(in_context("a.nii", "a.nii.gz: no such file"), "a.nii: a.nii.gz: no such file");
}

TEST(Error, RequireWritesItsParts) {
  EXPECT_NO_THROW(require(true, "never"));
  try {
    require(false, "size: expected ", 3, ", got ", 2.5);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "size: expected 3, got 2.5");
  }
}

TEST(NearestWord, FindsAMisspellingAndRejectsAStranger) {
  const std::string words[] = {"epochs", "batch_size", "seed"};
  EXPECT_EQ(nearest_word("epoch", words, words + 3), "epochs");
  EXPECT_EQ(nearest_word("bacth_size", words, words + 3), "batch_size");
  EXPECT_EQ(nearest_word("learning_rate", words, words + 3), "");
}

}  // namespace
}  // namespace mambaseg

#include <filesystem>

#include <gtest/gtest.h>

#include "mambaseg/nets/layers/unfilled.h"
#include "mambaseg/train/study.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

// Every table of recipes/studies can be run: its recipe is there, its rows are networks that take the size.
TEST(StudyTables, AllCanBeRun) {
  int tables = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(MAMBASEG_SOURCE_DIR) / "recipes/studies")) {
    SCOPED_TRACE(entry.path());
    StudyOptions study;
    study.settings = read_study(entry.path().string());
    study.recipe = recipe_of(study.settings, entry.path().string());
    for (const auto& [name, settings] : study_rows(study)) {
      SCOPED_TRACE(name);
      const UnfilledWeightsGuard unfilled;
      EXPECT_EQ(make_network(settings.network)->misfit(settings.task->input_edges()), "");
    }
    ++tables;
  }
  EXPECT_GE(tables, 4);
}

}  // namespace
}  // namespace mambaseg

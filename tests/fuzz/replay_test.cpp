// What the fuzzers found, and where they begin, read by every build.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "mambaseg/core/error.h"
#include "tests/fuzz/seeds.h"
#include "tests/fuzz/target.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

TEST(Fuzz, EverySeedIsReadWithoutAnError) {
  std::set<std::string> seeded;
  for (const FuzzSeed& seed : fuzz_seeds(MAMBASEG_SOURCE_DIR "/recipes")) {
    const TemporaryFolder folder;
    EXPECT_NO_THROW(fuzz_target(seed.target).read(seed.bytes, folder.string()))
        << seed.target << " " << seed.name;
    seeded.insert(seed.target);
  }
  for (const FuzzTarget& target : fuzz_targets()) EXPECT_TRUE(seeded.count(target.name)) << target.name;
}

/// findings/TARGET/NAME ended the program, let a foreign exception through, or took too much time or memory.
TEST(Fuzz, EveryFindingIsReadOrRefused) {
  for (const auto& target : fs::directory_iterator(MAMBASEG_SOURCE_DIR "/tests/fuzz/findings"))
    for (const auto& finding : fs::directory_iterator(target)) {
      SCOPED_TRACE(finding.path().string());
      const TemporaryFolder folder;
      try {
        fuzz_target(target.path().filename().string())
            .read(read_bytes(finding.path().string()), folder.string());
      } catch (const Error&) {
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
      }
    }
}

}  // namespace
}  // namespace mambaseg

#include "mambaseg/io/folder_lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "tests/io/temporary_folder.h"
#include "tests/io/test_images.h"

namespace mambaseg {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

TEST(FolderLock, NamesTheOneThatWorksThere) {
  const TemporaryFolder folder;
  {
    const FolderLock lock(folder.string());
    EXPECT_THAT(error_of([&] { FolderLock second(folder.string()); }),
                AllOf(HasSubstr(folder.string()), HasSubstr("process " + std::to_string(getpid()))));
  }
  EXPECT_TRUE(fs::is_empty(folder.string()));
  EXPECT_NO_THROW(FolderLock(folder.string()));
}

TEST(FolderLock, AKilledProcessLeavesNone) {
  const TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const FolderLock lock(folder.string());
    if (write(ready[1], "x", 1) == 1) pause();
    _exit(0);
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_THAT(error_of([&] { FolderLock lock(folder.string()); }), HasSubstr(std::to_string(child)));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(fs::exists(folder / ".lock"));
  EXPECT_NO_THROW(FolderLock(folder.string()));
}

}  // namespace
}  // namespace mambaseg

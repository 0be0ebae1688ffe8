#include "mambaseg/io/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "mambaseg/core/error.h"
#include "tests/io/temporary_folder.h"
#include "tests/io/test_images.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

size_t files_in(const TemporaryFolder& folder) {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator(folder.string()), fs::directory_iterator()));
}

TEST(AtomicFile, WritesReplacesAndLeavesNothingElse) {
  TemporaryFolder folder;
  const std::string path = folder / "a.json";
  write_file_atomically(path, "first and long");
  write_file_atomically(path, std::string("sec\0nd", 6));
  EXPECT_EQ(read_bytes(path), std::string("sec\0nd", 6));
  write_file_atomically(path, "");
  EXPECT_EQ(read_bytes(path), "");
  EXPECT_EQ(files_in(folder), 1u);
}

TEST(AtomicFile, TheTemporaryLiesInTheSameFolderAndHasTheSameEnding) {
  TemporaryFolder folder;
  write_atomically(folder / "case.1.nii.gz", [&](const std::string& temporary) {
    EXPECT_EQ(fs::path(temporary).parent_path(), fs::canonical(folder.string()));
    EXPECT_TRUE(temporary.ends_with(".nii.gz")) << temporary;
    EXPECT_FALSE(fs::exists(folder / "case.1.nii.gz"));
  });
  EXPECT_TRUE(fs::exists(folder / "case.1.nii.gz"));
}

TEST(AtomicFile, AFailureLeavesTheOldFileAndRemovesTheTemporary) {
  TemporaryFolder folder;
  const std::string path = folder / "a.txt";
  write_file_atomically(path, "old");
  const std::string message = error_of([&] {
    write_atomically(path, [](const std::string& temporary) {
      write_bytes(temporary, "half");
      throw Error("No space left on device");
    });
  });
  EXPECT_EQ(message, "cannot write " + path + ": No space left on device");
  EXPECT_EQ(read_bytes(path), "old");
  EXPECT_EQ(files_in(folder), 1u);
  EXPECT_THROW(write_atomically(path, [](const std::string&) { throw std::bad_alloc(); }), std::bad_alloc);
  EXPECT_EQ(files_in(folder), 1u);
}

TEST(AtomicFile, WhetherAFileCanBeWrittenIsKnownBefore) {
  TemporaryFolder folder;
  EXPECT_NO_THROW(check_writable(folder / "a.nii.gz"));
  EXPECT_EQ(files_in(folder), 0u);
  EXPECT_THAT(error_of([&] { check_writable(folder / "none/a.nii.gz"); }), HasSubstr("there is no folder"));
  EXPECT_THAT(error_of([&] { check_writable(folder.string()); }), HasSubstr("it is a folder"));
}

TEST(AtomicFile, SaysWhatIsInTheWay) {
  TemporaryFolder folder;
  const auto write = [](const std::string& path) {
    return error_of([&path] { write_file_atomically(path, "x"); });
  };
  EXPECT_THAT(write(folder / "none/a.txt"), HasSubstr("there is no folder"));
  EXPECT_THAT(write(folder.string()), HasSubstr("it is a folder"));
  EXPECT_THAT(write(""), HasSubstr("file name is empty"));
  EXPECT_THAT(write("/dev/full"), HasSubstr("not a regular file"));
  EXPECT_THAT(write(folder / std::string(300, 'a')), HasSubstr("File name too long"));
}

TEST(AtomicFile, TakesANameWithoutFolder) {
  const TemporaryFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.string());
  EXPECT_NO_THROW(write_file_atomically("bare.txt", "here"));
  std::filesystem::current_path(before);
  EXPECT_EQ(read_bytes(folder / "bare.txt"), "here");
}

TEST(AtomicFile, FollowsALink) {
  TemporaryFolder folder;
  fs::create_directory(folder / "real");
  write_bytes(folder / "real/a.txt", "old");
  fs::create_symlink(folder / "real/a.txt", folder / "link.txt");
  write_file_atomically(folder / "link.txt", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link.txt"));
  EXPECT_EQ(read_bytes(folder / "real/a.txt"), "new");
}

/// The largest file that this process may write, as long as the object lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST(AtomicFile, WhatDoesNotFitLeavesTheOldFileAndNothingElse) {
  TemporaryFolder folder;
  const std::string path = folder / "a.bin";
  write_file_atomically(path, "old");
  std::string message;
  {
    const FileSizeLimit limit(1000);
    message = error_of([&] { write_file_atomically(path, std::string(5000, 'x')); });
  }
  EXPECT_EQ(message, "cannot write " + path + ": File too large");
  EXPECT_EQ(read_bytes(path), "old");
  EXPECT_EQ(files_in(folder), 1u);
}

TEST(AtomicFile, EveryFormatSaysThatItDoesNotFit) {
  TemporaryFolder folder;
  Geometry geometry;
  geometry.size = {40, 40, 40};
  Volume<float> volume(geometry);
  for (size_t v = 0; v < volume.voxels.size(); ++v) volume.voxels[v] = static_cast<float>((v * 7919) % 10007);
  for (const char* name : {"a.nii", "a.nii.gz", "a.hdr", "a.mgh", "a.mgz", "a.mha"}) {
    std::string message;
    {
      const FileSizeLimit limit(1000);
      message = error_of([&] { write_volume(folder / name, volume); });
    }
    EXPECT_THAT(message, HasSubstr("File too large")) << name;
    EXPECT_EQ(files_in(folder), 0u) << name;
  }
}

TEST(AtomicFile, WhatKilledProcessesLeftIsRemovedAndWhatIsBeingWrittenStays) {
  TemporaryFolder folder;
  write_bytes(folder / ".mambaseg-4711-0.nii.gz", "half");
  write_bytes(folder / ".mambaseg-0123abcd", "half");
  write_bytes(folder / "mine.txt", "whole");
  write_atomically(folder / "a.txt", [&](const std::string& temporary) {
    make_folder(folder.string());
    EXPECT_TRUE(fs::exists(temporary));
  });
  EXPECT_EQ(files_in(folder), 2u);
  EXPECT_TRUE(fs::exists(folder / "a.txt"));
}

TEST(AtomicFile, AScratchFileHasNoName) {
  TemporaryFolder folder;
  OpenFile file = scratch_file(folder.string());
  EXPECT_EQ(files_in(folder), 0u);
  file.write("abcdef", 6);
  char back[3];
  file.read_at(2, back, 3);
  EXPECT_EQ(std::string(back, 3), "cde");
  EXPECT_THAT(error_of([&] { file.read_at(5, back, 3); }), HasSubstr("too short"));
  EXPECT_THAT(error_of([&] { scratch_file(folder / "none"); }), HasSubstr(folder / "none"));
}

TEST(AtomicFile, GivesTheUsualPermissions) {
  TemporaryFolder folder;
  const mode_t mask = umask(0022);
  write_file_atomically(folder / "a.txt", "x");
  umask(mask);
  EXPECT_EQ(fs::status(folder / "a.txt").permissions(), fs::perms(0644));
}

}  // namespace
}  // namespace mambaseg

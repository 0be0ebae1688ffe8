// The layers of docs/architecture.md, read from the sources: who may include whom.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const std::map<std::string, int> kStep{{"core", 0},    {"kernels", 0}, {"config", 1}, {"scan", 2},
                                       {"metrics", 2}, {"stats", 2},   {"io", 2},     {"ops", 3},
                                       {"nets", 4},    {"losses", 4},  {"data", 4},   {"infer", 5},
                                       {"models", 5},  {"report", 5},  {"tasks", 6},  {"train", 7},
                                       {"segment", 7}, {"session", 8}, {"library", 9}};

struct Source {
  fs::path path;
  std::string folder;  // "io"
  std::string text;
  std::vector<std::string> includes;
};

std::vector<Source> sources() {
  static const std::regex include(R"(^\s*#\s*include\s*["<]([^">]+)[">])");
  const fs::path root = fs::path(MAMBASEG_SOURCE_DIR) / "mambaseg";
  std::vector<Source> found;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const std::string ending = entry.path().extension();
    if (ending != ".h" && ending != ".cpp" && ending != ".cu" && ending != ".cuh") continue;
    Source source;
    source.path = entry.path();
    source.folder = fs::relative(entry.path(), root).begin()->string();
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) {
      source.text += line + "\n";
      std::smatch match;
      if (std::regex_search(line, match, include)) source.includes.push_back(match[1]);
    }
    found.push_back(std::move(source));
  }
  return found;
}

bool starts_with(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

TEST(Layers, TheSourcesAreFound) { EXPECT_GT(sources().size(), 20u); }

TEST(Layers, EveryFolderHasAStep) {
  for (const Source& source : sources()) EXPECT_EQ(kStep.count(source.folder), 1u) << source.path;
}

TEST(Layers, AFolderIncludesOnlyLowerSteps) {
  for (const Source& source : sources())
    for (const std::string& include : source.includes) {
      if (starts_with(include, "cli/") || starts_with(include, "python/") || starts_with(include, "tests/"))
        ADD_FAILURE() << source.path << " " << include;
      if (!starts_with(include, "mambaseg/")) continue;
      const std::string rest = include.substr(9);
      if (rest.find('/') == std::string::npos) {  // of include/
        EXPECT_EQ(source.folder, "library") << source.path << " includes " << include;
        continue;
      }
      const std::string target = rest.substr(0, rest.find('/'));
      if (target == source.folder) continue;
      EXPECT_LT(kStep.at(target), kStep.at(source.folder)) << source.path << " includes " << include;
    }
}

/// Two types of one name in headers of different folders compile, and end each other's objects: their inline
/// functions are taken for the same.
TEST(Layers, ATypeHasItsNameForItself) {
  static const std::regex type(R"((?:^|\n)(?:struct|class) (\w+)(?: final)?(?: :[^;{]*)?\s*\{)");
  std::map<std::string, fs::path> owner;
  for (const Source& source : sources()) {
    if (source.path.extension() != ".h") continue;
    for (std::sregex_iterator at(source.text.begin(), source.text.end(), type), end; at != end; ++at) {
      const auto [first, fresh] = owner.emplace((*at)[1], source.path);
      EXPECT_TRUE(fresh) << (*at)[1] << " stands in " << first->second << " and " << source.path;
    }
  }
  EXPECT_GT(owner.size(), 100u);
}

TEST(Layers, PublicHeadersNeedNothingButTheStandardLibrary) {
  static const std::regex include(R"(^\s*#\s*include\s*["<]([^">]+)[">])");
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(MAMBASEG_SOURCE_DIR) / "include/mambaseg")) {
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) {
      std::smatch match;
      if (!std::regex_search(line, match, include)) continue;
      const std::string name = match[1];
      ++count;
      if (entry.path().extension() == ".hpp" && name.find_first_of("./") == std::string::npos) continue;
      EXPECT_TRUE(name == "stdint.h" || name == "mambaseg/mambaseg.h" || name == "mambaseg/version.h")
          << entry.path() << " includes " << name;
    }
  }
  EXPECT_GT(count, 5u);
}

TEST(Layers, KernelsKnowNothingOfOurs) {
  for (const Source& source : sources()) {
    if (source.folder != "kernels") continue;
    for (const std::string& include : source.includes)
      if (starts_with(include, "mambaseg/")) {
        EXPECT_TRUE(starts_with(include, "mambaseg/kernels/")) << source.path << " includes " << include;
      }
  }
}

TEST(Layers, ItkLibTorchAndIntrinsicsStayInTheirRooms) {
  for (const Source& source : sources())
    for (const std::string& include : source.includes) {
      if (starts_with(include, "itk") || starts_with(include, "gdcm")) {
        EXPECT_TRUE(source.folder == "io" && source.path.extension() == ".cpp")
            << source.path << " " << include;
      }
      if (starts_with(include, "torch/") || starts_with(include, "ATen/") || starts_with(include, "c10/")) {
        EXPECT_GE(kStep.at(source.folder), 3) << source.path << " includes " << include;
      }
      if (starts_with(include, "hwy/") || include == "immintrin.h" || starts_with(include, "cuda")) {
        EXPECT_EQ(source.folder, "kernels") << source.path << " includes " << include;
      }
      EXPECT_FALSE(starts_with(include, "pybind11/") || starts_with(include, "torch/csrc/utils") ||
                   include == "Python.h")
          << source.path << " includes " << include;
    }
}

TEST(Layers, TheLibraryIsSilentAndNeverExits) {
  static const std::regex loud(
      R"(std::cout|std::cerr|\bprintf\s*\(|\bfprintf\s*\(|\bputs\s*\(|\bstd::exit\b|\bgetenv\b)");
  for (const Source& source : sources()) EXPECT_FALSE(std::regex_search(source.text, loud)) << source.path;
}

}  // namespace

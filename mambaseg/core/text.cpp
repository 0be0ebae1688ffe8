#include "mambaseg/core/text.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "mambaseg/core/error.h"

namespace mambaseg {

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::string lower_ending(const std::string& path) {
  return lower_case(std::filesystem::path(path).extension().string());
}

std::string readable_duration(double elapsed_s) {
  char text[64];
  if (elapsed_s < 60) {
    std::snprintf(text, sizeof text, "%.1f s", elapsed_s);
  } else if (elapsed_s < 3600) {
    std::snprintf(text, sizeof text, "%d min %02d s", int(elapsed_s) / 60, int(elapsed_s) % 60);
  } else {
    std::snprintf(text, sizeof text, "%d h %02d min", int(elapsed_s) / 3600, int(elapsed_s) / 60 % 60);
  }
  return text;
}

std::string whole_file(const std::string& path) {
  require(!std::filesystem::is_directory(path), path, ": this is a folder; expected a file");
  std::ifstream in(path, std::ios::binary);
  require(in.good(), path, ": cannot be opened for reading");
  std::ostringstream bytes;
  bytes << in.rdbuf();
  require(!in.bad(), path, ": cannot be read");
  return std::move(bytes).str();
}

}  // namespace mambaseg

#include "mambaseg/core/text.h"

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

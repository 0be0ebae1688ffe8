#include "cli/case_failures.h"

#include <cstdio>
#include <filesystem>
#include <new>

#include "mambaseg/core/error.h"
#include "mambaseg/io/atomic_file.h"

namespace mambaseg {

bool CaseFailures::guard(const std::string& who, const std::function<void()>& action) {
  try {
    action();
    return true;
  } catch (const std::bad_alloc&) {
    add(who, "not enough memory");
  } catch (const std::exception& error) {  // also LibTorch's, whose text runs over many lines
    const std::string text = error.what();
    add(who, text.substr(0, text.find('\n')));
  }
  return false;
}

void CaseFailures::raise(size_t cases) const {
  if (lines_.empty()) return;
  if (cases == 1) throw Error(lines_.front());
  for (const std::string& line : lines_) std::fprintf(stderr, "mambaseg: failed: %s\n", line.c_str());
  throw Error(concat(lines_.size(), " of ", cases, " cases failed"));
}

void prepare_output(const std::string& path) {
  if (const auto folder = std::filesystem::path(path).parent_path(); !folder.empty()) {
    std::error_code failed;
    std::filesystem::create_directories(folder, failed);
    require(!failed, folder.string(), ": cannot be made: ", failed.message());
  }
  check_writable(path);
}

}  // namespace mambaseg

#include "mambaseg/io/case_failures.h"

#include <new>

#include "mambaseg/core/error.h"

namespace mambaseg {

std::string plain_cause() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return "not enough memory";
  } catch (const std::exception& error) {  // also LibTorch's, whose text runs over many lines
    const std::string text = error.what();
    return text.substr(0, text.find('\n'));
  }
}

void CaseFailures::add(const std::string& name, const std::string& path, const std::string& cause) {
  const bool told = cause.find(path) != std::string::npos;
  lines_.push_back(concat(name, told ? "" : " (" + path + ")", ": ", cause));
}

bool CaseFailures::guard(const std::string& name, const std::string& path,
                         const std::function<void()>& action, Claim* claim) {
  try {
    action();
    if (claim) claim->done();
    return true;
  } catch (const std::exception&) {
    add(name, path, cause_());
  }
  if (claim) claim->failed(lines_.back());
  return false;
}

void CaseFailures::raise(size_t cases, const Warn& tell) const {
  if (lines_.empty()) return;
  if (cases == 1) throw Error(lines_.front());
  for (const std::string& line : lines_)
    if (tell) tell("failed: " + line);
  throw Error(concat(lines_.size(), " of ", cases, " cases failed"));
}

}  // namespace mambaseg

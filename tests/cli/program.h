#pragma once

#include <string>

namespace mambaseg {

/// What a run of the program gave.
struct ProgramResult {
  int exit_code = -1;
  std::string out;  ///< stdout
  std::string err;  ///< stderr
};

/// Runs the built `mambaseg` with `arguments` (as typed in a shell) and waits for it.
ProgramResult run_mambaseg(const std::string& arguments);

/// A fresh folder below the system's temporary folder, removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace mambaseg

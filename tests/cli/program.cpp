#include "tests/cli/program.h"

#include <sys/wait.h>

#include <cstdlib>

#include "tests/io/temporary_folder.h"

namespace mambaseg {

ProgramResult run_mambaseg(const std::string& arguments) {
  const TemporaryFolder folder;
  const std::string program = std::string(MAMBASEG_BINARY_DIR) + "/bin/mambaseg";
  const std::string command =
      program + " " + arguments + " >" + (folder / "out") + " 2>" + (folder / "err") + " </dev/null";
  const int status = std::system(command.c_str());
  ProgramResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.out = read_bytes(folder / "out");
  result.err = read_bytes(folder / "err");
  return result;
}

}  // namespace mambaseg

#include "tests/cli/program.h"

#include <sys/wait.h>

#include <cstdlib>

#include "tests/io/temporary_folder.h"

namespace mambaseg {

namespace {

const std::string program = std::string(MAMBASEG_BINARY_DIR) + "/bin/mambaseg ";

int exit_code_of(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

ProgramResult run_mambaseg_in(const std::string& environment, const std::string& arguments) {
  const TemporaryFolder folder;
  ProgramResult result;
  result.exit_code = exit_code_of(environment + program + arguments + " >" + (folder / "out") + " 2>" +
                                  (folder / "err") + " </dev/null");
  result.out = read_bytes(folder / "out");
  result.err = read_bytes(folder / "err");
  return result;
}

}  // namespace

ProgramResult run_mambaseg(const std::string& arguments) { return run_mambaseg_in("", arguments); }

ProgramResult run_mambaseg_with_avx2(const std::string& arguments) {
  return run_mambaseg_in("DNNL_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 ", arguments);
}

ProgramResult run_mambaseg_with_full_disk(const std::string& arguments) {
  const TemporaryFolder folder;
  // The message goes through a pipe, which the limit does not concern.
  std::system(("( (ulimit -f 0; exec " + program + arguments + " 2>&1 >/dev/null </dev/null); echo $? >" +
               (folder / "code") + " ) | cat >" + (folder / "err"))
                  .c_str());
  ProgramResult result;
  result.exit_code = std::atoi(read_bytes(folder / "code").c_str());
  result.err = read_bytes(folder / "err");
  return result;
}

ProgramResult run_mambaseg_printing_to(const std::string& arguments, const std::string& standard_output) {
  const TemporaryFolder folder;
  ProgramResult result;
  result.exit_code =
      exit_code_of(program + arguments + " >" + standard_output + " 2>" + (folder / "err") + " </dev/null");
  result.err = read_bytes(folder / "err");
  return result;
}

std::string libraries_loaded_by_mambaseg(const std::string& arguments) {
  return run_mambaseg_in("LD_DEBUG=files ", arguments).err;
}

}  // namespace mambaseg

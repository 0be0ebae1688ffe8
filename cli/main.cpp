#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "cli/program.h"

namespace {

/// A file that the program opens must never become standard output by its number; and a file size limit is an
/// error of the file that met it, not the end of the program.
void prepare_process() {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(number, F_GETFD) == -1 && open("/dev/null", O_RDWR) < 0) std::_Exit(1);
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace

int main(int argc, char** argv) {
  prepare_process();
  return mambaseg::run_program(argc, argv);
}

// The program that people call. It is linked without LibTorch, whose loading takes a third of a second:
// commands that need it are handed over to libexec/mambaseg/mambaseg_whole, which is the same program with
// everything in it.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "cli/commands.h"
#include "cli/program.h"
#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

char** command_line = nullptr;

/// A file that the program opens must never become standard output by its number; and a file size limit is an
/// error of the file that met it, not the end of the program.
void prepare_process() {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(number, F_GETFD) == -1 && open("/dev/null", O_RDWR) < 0) std::_Exit(1);
  std::signal(SIGXFSZ, SIG_IGN);
}

/// The process becomes the whole program, with the same command line.
[[noreturn]] void become_whole_program() {
  std::error_code failed;
  const std::filesystem::path own = std::filesystem::read_symlink("/proc/self/exe", failed);
  const std::string whole = own.parent_path().parent_path() / "libexec/mambaseg/mambaseg_whole";
  execv(whole.c_str(), command_line);
  throw Error(
      concat(whole, ": the part of the program that computes cannot be started: ", std::strerror(errno)));
}

/// Whatever follows the command is for the whole program to read.
void hand_over(CLI::App& command) {
  command.set_help_flag();
  command.prefix_command();
  command.callback(become_whole_program);
}

}  // namespace

void declare_demo(CLI::App& command) { hand_over(command); }
void declare_segment(CLI::App& command) { hand_over(command); }
void declare_bids(CLI::App& command) { hand_over(command); }
void declare_models(CLI::App& command) { hand_over(command); }
void declare_networks(CLI::App& command) { hand_over(command); }
void declare_convert(CLI::App& command) { hand_over(command); }
void declare_predict(CLI::App& command) { hand_over(command); }
void declare_plan(CLI::App& command) { hand_over(command); }
void declare_recipe(CLI::App& command) { hand_over(command); }
void declare_study(CLI::App& command) { hand_over(command); }
void declare_prepare(CLI::App& command) { hand_over(command); }
void declare_train(CLI::App& command) { hand_over(command); }

}  // namespace mambaseg

int main(int argc, char** argv) {
  mambaseg::prepare_process();
  mambaseg::command_line = argv;
  return mambaseg::run_program(argc, argv, mambaseg::plain_failure);
}

// The program that people call. It is linked without LibTorch, whose loading takes a third of a second:
// commands that need it are handed over to libexec/mambaseg/mambaseg_whole, which is the same program with
// everything in it, unless it is known what that would print.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>

#include "cli/commands.h"
#include "cli/known_output.h"
#include "cli/model_list.h"
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

/// Whatever follows the command is for the whole program to read. `answer` may take the words that follow:
/// whether it did.
void hand_over(
    CLI::App& command,
    const std::function<bool(const std::string& words)>& answer = [](const std::string&) { return false; }) {
  command.set_help_flag();
  command.prefix_command();
  command.callback([&command, answer] {
    std::string words;
    for (const std::string& word : command.remaining()) words += (words.empty() ? "" : " ") + word;
    if (answer(words)) return;
    if (words == "-h") words = "--help";
    const char* known = known_output(command.get_name() + (words.empty() ? "" : " ") + words);
    if (known == nullptr) become_whole_program();
    std::fputs(known, stdout);
  });
}

bool list_models(const std::string& words) {
  const bool json = words == "--json";
  if (!json && !words.empty()) return false;
  print_models(json);
  return true;
}

}  // namespace

void declare_demo(CLI::App& command) { hand_over(command); }
void declare_segment(CLI::App& command) { hand_over(command); }
void declare_bids(CLI::App& command) { hand_over(command); }
void declare_models(CLI::App& command) { hand_over(command, list_models); }
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

#include "cli/program.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "cli/commands.h"
#include "cli/version.h"
#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr int kDone = 0, kRunFailed = 1, kUsage = 2;

int fail(int code, const std::string& message) {
  std::fprintf(stderr, "mambaseg: error: %s\n", message.c_str());
  return code;
}

/// `code`, or a failure when what was printed could not be written. A reader that has left is no failure.
int after_printing(int code) {
  errno = 0;
  const bool printed = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (!printed && errno == 0) {  // it failed while the command worked: more fails for the same reason
    std::fputc('\n', stdout);
    std::fflush(stdout);
  }
  if (printed || errno == EPIPE) return code;
  const std::string cause = errno != 0 ? std::string(": ") + std::strerror(errno) : "";
  return fail(kRunFailed, "what was to be printed could not be written" + cause);
}

/// Throws UsageError when the first word is no command.
void check_command(int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  const std::string word = argv[1];
  std::vector<std::string> names;
  for (const Command& command : commands()) names.emplace_back(command.name);
  if (std::find(names.begin(), names.end(), word) != names.end()) return;
  const std::string near = nearest_word(word, names.data(), names.data() + names.size());
  throw UsageError("there is no command " + word + (near.empty() ? "" : ", did you mean " + near + "?") +
                   " (mambaseg --help lists the commands)");
}

/// What is wrong with the command line, a word that is no option before what is missing for want of it, and
/// where help is.
std::string explained(const CLI::ParseError& error, const CLI::App& app) {
  if (app.get_subcommands().empty()) return concat(error.what(), " (mambaseg --help lists the commands)");
  const CLI::App* command = app.get_subcommands().front();
  std::string cause = error.what();
  std::vector<std::string> known;
  for (const CLI::Option* option : command->get_options())
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  const auto words = command->remaining();
  const auto unknown = std::find_if(
      words.begin(), words.end(), [](const std::string& word) { return word.size() >= 2 && word[0] == '-'; });
  if (unknown != words.end()) {
    const std::string near = nearest_word(*unknown, known.data(), known.data() + known.size());
    cause = concat("there is no option ", *unknown, near.empty() ? "" : ", did you mean " + near + "?");
  }
  return concat(cause, " (mambaseg ", command->get_name(), " --help explains it)");
}

int run(CLI::App& app, int argc, char** argv, Failure (*failure_of_exception)()) {
  try {
    check_command(argc, argv);
    app.parse(argc, argv);
    return kDone;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      std::ostringstream text;  // a stream that flushes at once would forget why it could not
      app.exit(error, text, text);
      std::fputs(text.str().c_str(), stdout);
      return kDone;
    }
    return fail(kUsage, explained(error, app));
  } catch (...) {
    const Failure failure = failure_of_exception();
    return fail(static_cast<int>(failure.outcome), failure.line);
  }
}

}  // namespace

int run_program(int argc, char** argv, Failure (*failure)()) {
  CLI::App app{
      "Train, run and score hybrid CNN-Mamba networks that segment medical images.\n"
      "Research use only: not a medical device.",
      "mambaseg"};
  app.set_version_flag("--version", version_text);
  app.require_subcommand(1);
  for (const Command& command : commands())
    command.declare(*app.add_subcommand(command.name, command.summary));
  return after_printing(run(app, argc, argv, failure));
}

}  // namespace mambaseg

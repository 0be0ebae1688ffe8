#include <cstdio>
#include <exception>

#include "cli/commands.h"
#include "mambaseg/core/error.h"

namespace {

constexpr int kDone = 0, kRunFailed = 1, kUsage = 2;

int fail(int code, const std::string& message) {
  std::fprintf(stderr, "mambaseg: error: %s\n", message.c_str());
  return code;
}

/// The message of a LibTorch error without its C++ back trace.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Train, run and score hybrid CNN-Mamba networks that segment medical images.\n"
      "Research use only: not a medical device.",
      "mambaseg"};
  app.set_version_flag("--version", MAMBASEG_VERSION);
  app.require_subcommand(1);
  for (const mambaseg::Command& command : mambaseg::commands())
    command.declare(*app.add_subcommand(command.name, command.summary));
  try {
    app.parse(argc, argv);
    return kDone;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return fail(kUsage, std::string(error.what()) + " (mambaseg --help lists the commands)");
  } catch (const mambaseg::UsageError& error) {
    return fail(kUsage, error.what());
  } catch (const mambaseg::Error& error) {
    return fail(kRunFailed, error.what());
  } catch (const std::bad_alloc&) {
    return fail(kRunFailed, "not enough memory");
  } catch (const std::exception& error) {
    return fail(kRunFailed, first_line(error.what()));
  }
}

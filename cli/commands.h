#pragma once

#include <vector>

#include <CLI/CLI.hpp>

namespace mambaseg {

/// A command of the program: `declare` adds options to its subcommand and sets the callback that does the
/// work. A callback throws UsageError (exit code 2) or Error (exit code 1); only run_program catches.
struct Command {
  const char* name;
  const char* summary;
  void (*declare)(CLI::App& command);
};

/// Every command, in the order of the help text (commands.cpp).
const std::vector<Command>& commands();

}  // namespace mambaseg

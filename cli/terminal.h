#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "mambaseg/core/progress.h"

namespace mambaseg {

/// A progress bar with the time left on stderr when that is a terminal, else progress_lines.
Progress progress_bar();

/// A line with the time left on stderr, not more often than every so many seconds.
Progress progress_lines(double every_s);

/// Prints lines on stdout as they come.
Warn notes_to_stdout();

/// Prints "mambaseg: warning: ..." on stderr, ending an unfinished bar first.
Warn warnings_to_stderr();

/// --set, the same in every command that takes a recipe: once for each setting, so that what follows is not
/// swallowed. `what` begins the help text.
void declare_assignments(CLI::App& command, std::vector<std::string>& assignments, const std::string& what);

}  // namespace mambaseg

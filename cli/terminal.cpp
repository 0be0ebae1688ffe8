#include "cli/terminal.h"

#include <unistd.h>

#include <cstdio>
#include <memory>

#include "mambaseg/core/clock.h"
#include "mambaseg/core/text.h"

namespace mambaseg {
namespace {

bool bar_open = false;  // only this file prints on stderr while a command works

void close_bar() {
  if (bar_open) std::fputc('\n', stderr);
  bar_open = false;
}

/// What is going on, since when, and when that was last printed.
struct ProgressState {
  std::string what;
  Clock::time_point start = Clock::now(), printed{};

  /// True when something else began.
  bool begins(const std::string& now) {
    if (now == what) return false;
    what = now;
    start = Clock::now();
    printed = {};
    return true;
  }
  std::string left(double fraction) const {
    const double spent = seconds_since(start);
    if (fraction >= 1) return "took " + readable_duration(spent);
    return fraction > 0 ? readable_duration(spent * (1 - fraction) / fraction) + " left" : "";
  }
};

double share(int64_t done, int64_t total) { return total > 0 ? double(done) / double(total) : 0; }

}  // namespace

Progress progress_lines(double every_s) {
  auto state = std::make_shared<ProgressState>();
  return [state, every_s](const std::string& what, int64_t done, int64_t total) {
    if (state->begins(what)) state->printed = Clock::now();
    if (seconds_since(state->printed) < every_s) return;
    state->printed = Clock::now();
    const std::string left = state->left(share(done, total));
    std::fprintf(stderr, "%s: %lld of %lld%s%s\n", what.c_str(), (long long)done, (long long)total,
                 left.empty() ? "" : ", ", left.c_str());
  };
}

Progress progress_bar() {
  constexpr double kHalfAMinute = 30;
  if (!isatty(STDERR_FILENO)) return progress_lines(kHalfAMinute);
  auto state = std::make_shared<ProgressState>();
  return [state](const std::string& what, int64_t done, int64_t total) {
    if (state->begins(what)) close_bar();
    const bool last = total > 0 && done >= total;
    if (!last && seconds_since(state->printed) < 0.1) return;
    state->printed = Clock::now();
    const double fraction = share(done, total);
    const int width = 28;
    const int full = int(fraction * width);
    const std::string bar = std::string(size_t(full), '=') + std::string(size_t(width - full), ' ');
    std::fprintf(stderr, "\r%s [%s] %lld/%lld %s\033[K", what.c_str(), bar.c_str(), (long long)done,
                 (long long)total, state->left(fraction).c_str());
    bar_open = true;
    if (last) {
      close_bar();
      state->what.clear();
    }
    std::fflush(stderr);
  };
}

void declare_assignments(CLI::App& command, std::vector<std::string>& assignments, const std::string& what) {
  command
      .add_option("--set", assignments,
                  what +
                      ", KEY=VALUE as in TOML, once for each: training.epochs=3, network.name=unet, "
                      "'plan.patch=[96, 96, 96]', 'plan.classes=[{name=\"liver\", ids=[1, 2]}]'")
      ->allow_extra_args(false);
}

Warn notes_to_stdout() {
  return [](const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  };
}

Warn warnings_to_stderr() {
  return [](const std::string& line) {
    close_bar();
    std::fprintf(stderr, "mambaseg: warning: %s\n", line.c_str());
  };
}

}  // namespace mambaseg

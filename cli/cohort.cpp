#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/commands.h"
#include "mambaseg/core/clock.h"
#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/cohort.h"
#include "mambaseg/report/table_file.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

struct Options {
  Words words;
  int64_t workers = 0, cores = 1;
  Words slurm;  ///< more options of sbatch
};

/// As a shell reads it back.
std::string quoted(const std::string& word) {
  constexpr char kPlain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=,:+-@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string line_of(const Words& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + quoted(word);
  return line;
}

/// The folder that a command writes into: behind its last -o or --output.
std::string output_of(const Words& words) {
  std::string output = words.front() == "segment" ? "segmented" : "";
  for (size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    if ((word == "-o" || word == "--output") && i + 1 < words.size()) output = words[i + 1];
    if (word.starts_with("--output=")) output = word.substr(9);
  }
  if (output.empty()) throw UsageError(concat("cohort: expected -o OUTPUT behind ", words.front()));
  return output;
}

void check_command(const Words& words) {
  const Words known{"segment", "predict", "prepare", "evaluate"};
  if (std::find(known.begin(), known.end(), words.front()) == known.end())
    throw UsageError(
        concat("cohort: expected segment, predict, prepare or evaluate behind --, got ", words.front()));
  for (const std::string& word : words)
    for (const char* own : {"--shard", "--most-cases", "--threads", "--overwrite"})
      if (word == own || word.starts_with(std::string(own) + "="))
        throw UsageError(concat("cohort: ", own,
                                " has no place behind --: the script says what belongs there "
                                "(--workers, --cores)"));
}

struct Trial {
  size_t cases = 0;  ///< that it did
  double seconds = 0;
  int64_t peak_bytes = 0;
};

size_t done_of(const std::vector<CohortState>& states) {
  return static_cast<size_t>(
      std::count_if(states.begin(), states.end(), [](const CohortState& state) { return state.done; }));
}

/// Runs this program, whose words come first; what it prints goes where ours does.
Trial run_trial(const Words& words) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::cout.flush();
  const auto start = Clock::now();
  const pid_t child = fork();
  require(child >= 0, "cohort: no process can be started for the trial");
  if (child == 0) {
    execv(arguments.front(), arguments.data());
    _exit(127);
  }
  int status = 0;
  rusage used{};
  while (wait4(child, &status, 0, &used) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
    throw UsageError("cohort: the command makes no sense, see the line above");
  return {0, seconds_since(start), int64_t{used.ru_maxrss} * 1024};
}

/// Two cases, because the second is read while the first is worked on: of the first worker or, where those
/// fail, of another.
Trial tried(const std::string& program, const Options& options, const std::string& output) {
  constexpr int64_t kTries = 3;
  size_t before = fs::exists(fs::path(output) / "cohort") ? done_of(read_cohort(output)) : 0;
  for (int64_t i = 1; i <= std::min(kTries, options.workers); ++i) {
    Words words{program};
    words.insert(words.end(), options.words.begin(), options.words.end());
    for (const std::string& word :
         {std::string("--threads"), std::to_string(options.cores), std::string("--shard"),
          concat(i, "/", options.workers), std::string("--most-cases"), std::string("2")})
      words.push_back(word);
    Trial trial = run_trial(words);
    const auto states = read_cohort(output);
    trial.cases = done_of(states) - std::min(before, done_of(states));
    if (trial.cases > 0 || done_of(states) == states.size()) return trial;
  }
  throw Error("cohort: the trial did no case, see the lines above");
}

std::string slurm_time(double seconds) {
  const auto minutes = static_cast<int64_t>(std::ceil(seconds / 60));
  return concat(minutes / 60, ":", minutes % 60 < 10 ? "0" : "", minutes % 60, ":00");
}

std::string script_of(const std::string& program, const Options& options, const std::string& output,
                      const Trial& trial, size_t left) {
  constexpr double kMarginOfTime = 2, kMarginOfMemory = 1.5, kLeastSeconds = 600;
  const auto each = static_cast<double>((static_cast<int64_t>(left) + options.workers - 1) / options.workers);
  const double case_s = trial.seconds / static_cast<double>(trial.cases);
  const double limit_s = std::max(kLeastSeconds, kMarginOfTime * each * case_s);
  const auto megabytes = static_cast<int64_t>(
      std::ceil(kMarginOfMemory * static_cast<double>(trial.peak_bytes) / 1048576 / 100) * 100);
  const std::string here = fs::current_path().string();
  const std::string folder = fs::absolute(fs::path(output) / "cohort").lexically_normal().string();
  const std::string command = line_of(Words{program}) + " " + line_of(options.words);
  std::string text = concat("#!/bin/bash\n#SBATCH --job-name=mambaseg\n#SBATCH --array=1-", options.workers,
                            "\n#SBATCH --cpus-per-task=", options.cores, "\n#SBATCH --mem=", megabytes,
                            "M\n#SBATCH --time=", slurm_time(limit_s), "\n#SBATCH --output=", quoted(folder),
                            "/log-%A_%a.txt\n#SBATCH --requeue\n");
  for (const std::string& more : options.slurm) text += "#SBATCH " + more + "\n";
  text += concat("# ", left, " cases are left. On trial a case took ", readable_duration(case_s),
                 " (time: ", kMarginOfTime, " x that for each of a task) and at most ",
                 (trial.peak_bytes + 999999) / 1000000, " MB (memory: ", kMarginOfMemory,
                 " x that).\n# Submit again until all are done: mambaseg cohort ", quoted(output),
                 "\n# Without Slurm, for I from 1 to ", options.workers, ": ", command, " --threads ",
                 options.cores, " --shard $I/", options.workers, "\ncd ", quoted(here), " && exec ", command,
                 " --threads ", options.cores, " --shard slurm\n");
  return text;
}

void plan(const Options& options) {
  check_command(options.words);
  const std::string output = output_of(options.words);
  const std::string program = fs::read_symlink("/proc/self/exe").string();
  const Trial trial = tried(program, options, output);
  const auto states = read_cohort(output);
  const size_t left = states.size() - done_of(states);
  if (left == 0) {
    std::cout << "all " << states.size() << " cases are done: nothing to submit\n";
    return;
  }
  const std::string path = (fs::path(output) / "cohort" / "array.sbatch").string();
  write_file_atomically(path, script_of(program, options, output, trial, left));
  std::cout << whole_file(path) << "\nsbatch " << quoted(path) << "\n";
}

/// The table of results and failures, and how many there are of each.
void tell(const std::string& output) {
  const auto states = read_cohort(output);
  std::string table = csv_line({"case", "state", "attempts", "seconds", "time", "worker", "why"});
  std::map<std::string, size_t> count;
  Words failed;
  for (const CohortState& one : states) {
    const std::string state = one.state();
    const CohortEvent last = one.events.empty() ? CohortEvent{} : one.events.back();
    const auto attempts = std::count_if(one.events.begin(), one.events.end(),
                                        [](const CohortEvent& event) { return event.what == "begun"; });
    table += csv_line({one.one.name, state, concat(attempts), last.what == "done" ? concat(last.seconds) : "",
                       last.time, last.worker, state == "failed" ? one.why() : ""});
    ++count[state];
    if (state == "failed") failed.push_back(concat("failed: ", one.one.name, ": ", one.why()));
  }
  const std::string path = (fs::path(output) / "cohort.csv").string();
  write_file_atomically(path, table);
  std::cout << count["done"] << " of " << states.size() << " cases are done, " << count["failed"]
            << " failed, " << count["begun"] << " begun (in work, or their worker ended), " << count["open"]
            << " open: " << path << "\n";
  constexpr size_t kShown = 10;
  for (size_t i = 0; i < std::min(kShown, failed.size()); ++i) std::cout << failed[i] << "\n";
  if (failed.size() > kShown) std::cout << "and " << failed.size() - kShown << " more\n";
  require(count["done"] == states.size(), output, ": ", states.size() - count["done"], " of ", states.size(),
          " cases are not done");
}

void run(const Options& options) {
  if (options.workers > 0) return plan(options);
  if (options.words.size() > 1)
    throw UsageError("cohort: expected --workers N before the command, or one folder of outputs alone");
  tell(options.words.front());
}

}  // namespace

void declare_cohort(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command
      .add_option("words", options->words,
                  "Folder of outputs, to be told what became of its cases; or with --workers behind -- a "
                  "segment, predict, prepare or evaluate with its options")
      ->required();
  command
      .add_option("--workers", options->workers,
                  "Try two cases and write OUTPUT/cohort/array.sbatch, a Slurm array of so many tasks")
      ->check(CLI::PositiveNumber);
  command.add_option("--cores", options->cores, "Threads of each worker")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--slurm", options->slurm,
                  "A line for sbatch, once for each: --slurm=--partition=long --slurm=--gres=gpu:1")
      ->allow_extra_args(false);
  command.footer(
      "Examples:\n"
      "  mambaseg cohort --workers 40 --cores 4 -- segment scans/ -o out   trial, then the script\n"
      "  sbatch out/cohort/array.sbatch                                    again until all are done\n"
      "  mambaseg cohort out                                               done, failed and why: "
      "out/cohort.csv\n"
      "docs/cohorts.md says what is guaranteed.");
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg

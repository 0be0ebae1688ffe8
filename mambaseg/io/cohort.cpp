#include "mambaseg/io/cohort.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <random>
#include <sstream>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "mambaseg/core/clock.h"
#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/folder_lock.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr char kFolder[] = "cohort", kList[] = "cases.tsv";

std::string time_now() {
  const auto now = std::chrono::system_clock::now();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 80> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900,
                utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, int(ms % 1000));
  return text.data();
}

/// Outputs by their names in the folder, which may be moved.
std::string list_of(const std::string& output, const std::vector<CohortCase>& cases) {
  std::string text;
  for (const CohortCase& one : cases)
    text += one.name + "\t" + fs::path(one.output).lexically_relative(output).string() + "\n";
  return text;
}

std::string journal_path(const std::string& folder, const std::string& name) {
  return (fs::path(folder) / (name + ".jsonl")).string();
}

/// Whether a second lock on a file is refused. The name is that of temporary files, so make_folder removes
/// what a killed worker leaves, perhaps while we look.
bool locks_work(const std::string& folder) {
  const std::string probe =
      (fs::path(folder) / concat(".mambaseg-locks-", getpid(), "-", std::random_device()())).string();
  return with_context("cannot write " + probe, [&] {
    for (;;) {
      OpenFile one(probe, O_CREAT | O_RDWR), other(probe, O_CREAT | O_RDWR);
      const bool refused = !one.lock() || !other.lock();
      const bool was_there = one.names() > 0;
      unlink(probe.c_str());
      if (was_there) return refused;
    }
  });
}

/// A line that a killed worker left unfinished says nothing.
std::vector<CohortEvent> read_journal(const std::string& path) {
  std::vector<CohortEvent> events;
  if (!fs::exists(path)) return events;
  std::istringstream lines(whole_file(path));
  for (std::string line; std::getline(lines, line);) {
    const Json event = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!event.is_object()) continue;
    events.push_back({event.value("event", ""), event.value("time", ""), event.value("worker", ""),
                      event.value("seconds", 0.0), event.value("why", "")});
  }
  return events;
}

/// How many workers began at the end of the journal and left no other word.
size_t begun_in_vain(const std::vector<CohortEvent>& events) {
  size_t count = 0;
  while (count < events.size() && events[events.size() - 1 - count].what == "begun") ++count;
  return count;
}

constexpr char kEndedTwice[] =
    "two workers ended in the middle of it without a word (out of memory or time?)";

/// Why it has failed; empty: it has not.
std::string failure_of(const std::vector<CohortEvent>& events) {
  if (events.empty()) return "";
  if (events.back().what == "failed") return events.back().why;
  return begun_in_vain(events) >= 2 ? kEndedTwice : "";
}

}  // namespace

Claim::Claim(OpenFile journal, std::string worker)
    : journal_(std::move(journal)), worker_(std::move(worker)), start_(Clock::now()) {
  write({"begun", time_now(), worker_, 0, ""});
}

void Claim::write(const CohortEvent& event) {
  Json line{{"event", event.what}, {"time", event.time}, {"worker", event.worker}};
  if (event.what != "begun") line["seconds"] = std::round(event.seconds * 1000) / 1000;
  if (!event.why.empty()) line["why"] = event.why;
  const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  journal_->write(text.data(), text.size());
}

void Claim::done() {
  if (journal_) write({"done", time_now(), worker_, seconds_since(start_), ""});
}

void Claim::failed(const std::string& why) {
  if (journal_) write({"failed", time_now(), worker_, seconds_since(start_), why.substr(0, why.find('\n'))});
}

Cohort::Cohort(const std::optional<Shard>& shard, const std::string& output, std::vector<CohortCase> cases,
               const Warn& warn)
    : shard_(shard),
      folder_((fs::path(output) / kFolder).string()),
      start_(time_now()),
      cases_(std::move(cases)) {
  if (!shard_) return;
  for (const CohortCase& one : cases_)
    if (fs::path(one.output) == fs::path(output))
      throw UsageError(concat(output, ": expected a folder for what several workers (--shard) write"));
  worker_ = this_process() + concat(", shard ", shard_->index, "/", shard_->count);
  if (!shard_->job.empty()) worker_ += ", " + shard_->job;
  make_folder(folder_);
  const std::string list = (fs::path(folder_) / kList).string(), text = list_of(output, cases_);
  if (!fs::exists(list) || whole_file(list) != text) write_file_atomically(list, text);
  locks_ = locks_work(folder_);
  if (!locks_ && warn)
    warn(output +
         ": this file system knows no locks, so every worker does the cases of its own shard alone; no two "
         "may have the same shard");
}

std::vector<size_t> Cohort::order() const {
  const Shard shard = shard_.value_or(Shard{});
  std::vector<size_t> numbers = shard.order(cases_.size());
  if (!locks_) std::erase_if(numbers, [&](size_t number) { return !shard.owns(number); });
  return numbers;
}

std::shared_ptr<Claim> Cohort::claim(size_t number, const std::function<bool()>& is_done) {
  if (!shard_) return std::make_shared<Claim>();
  if (shard_->most_cases > 0 && claimed_ >= shard_->most_cases) return nullptr;
  const std::string path = journal_path(folder_, cases_[number].name);
  return with_context("cannot write " + path, [&]() -> std::shared_ptr<Claim> {
    OpenFile journal(path, O_CREAT | O_RDWR | O_APPEND);
    if (!journal.lock()) return nullptr;
    if (const std::string text = whole_file(path); !text.empty() && text.back() != '\n')
      journal.write("\n", 1);
    const std::vector<CohortEvent> past = read_journal(path);
    // Beside the files the journal is asked, which a lock brings up to date on network file systems too.
    const bool since = !past.empty() && past.back().what != "begun" && past.back().time >= start_;
    if (since || is_done()) return nullptr;
    if (!failure_of(past).empty() && !shard_->owns(number)) return nullptr;
    if (const int64_t before = claimed_++; shard_->most_cases > 0 && before >= shard_->most_cases)
      return nullptr;
    return std::make_shared<Claim>(std::move(journal), worker_);
  });
}

void Cohort::in_turn(const std::function<void()>& action) const {
  if (!shard_) return action();
  const std::string path = (fs::path(folder_) / ".turn").string();
  std::optional<OpenFile> turn;
  with_context("cannot write " + path, [&] { turn.emplace(path, O_CREAT | O_RDWR); });
  while (!turn->lock()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  action();
}

std::map<std::string, std::string> Cohort::failures() const {
  std::map<std::string, std::string> failures;
  if (!shard_) return failures;
  for (const CohortCase& one : cases_)
    if (const std::string why = failure_of(read_journal(journal_path(folder_, one.name))); !why.empty())
      failures[one.name] = why;
  return failures;
}

std::string CohortState::why() const { return done ? "" : failure_of(events); }

std::string CohortState::state() const {
  if (done) return "done";
  if (!why().empty()) return "failed";
  return !events.empty() && events.back().what == "begun" ? "begun" : "open";
}

std::vector<CohortState> read_cohort(const std::string& output) {
  const std::string folder = (fs::path(output) / kFolder).string();
  const std::string list = (fs::path(folder) / kList).string();
  require(fs::exists(list), output, ": no cohort, expected ", list, ", which workers (--shard I/N) write");
  std::vector<CohortState> states;
  std::istringstream lines(whole_file(list));
  for (std::string line; std::getline(lines, line);) {
    const size_t tab = line.find('\t');
    require(tab != std::string::npos, list, ": expected a name and a file in each line, got ", line);
    CohortState state;
    state.one = {line.substr(0, tab), (fs::path(output) / line.substr(tab + 1)).string()};
    state.done = fs::exists(state.one.output);
    state.events = read_journal(journal_path(folder, state.one.name));
    states.push_back(std::move(state));
  }
  return states;
}

}  // namespace mambaseg

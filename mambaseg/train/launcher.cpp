#include "mambaseg/train/launcher.h"

#include <algorithm>
#include <charconv>

namespace mambaseg {
namespace {

/// Ports that a job's meeting place may have, none of which a system hands out by itself.
constexpr int64_t kFirstPort = 20000, kPorts = 10000;

class Variables {
 public:
  explicit Variables(const std::function<const char*(const char*)>& variable) : variable_(variable) {}

  bool has(const char* name) const {
    const char* text = variable_(name);
    return text != nullptr && *text != '\0';
  }
  std::string text(const char* name) const {
    if (!has(name))
      throw UsageError(concat("the environment has no ", name, ", which belongs to what a launcher sets"));
    return variable_(name);
  }
  int64_t number(const char* name, int64_t least, int64_t most) const {
    const std::string words = text(name);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(words.data(), words.data() + words.size(), value);
    if (error != std::errc() || end != words.data() + words.size() || value < least || value > most)
      throw UsageError(concat(name, "=", words, " in the environment: expected a whole number from ", least,
                              " to ", most));
    return value;
  }
  int64_t number(const char* name, int64_t least, int64_t most, int64_t otherwise) const {
    return has(name) ? number(name, least, most) : otherwise;
  }

 private:
  const std::function<const char*(const char*)>& variable_;
};

constexpr int64_t kMostRanks = 1 << 20, kMostPort = 65535;

}  // namespace

std::string first_host(const std::string& node_list) {
  const size_t end = node_list.find_first_of(",[");
  std::string host = node_list.substr(0, end);
  if (end != std::string::npos && node_list[end] == '[')
    host += node_list.substr(end + 1, node_list.find_first_of(",-]", end) - end - 1);
  return host;
}

WorldPlace place_of_process(const std::function<const char*(const char*)>& variable) {
  const Variables has(variable);
  WorldPlace place;
  if (has.has("WORLD_SIZE") && has.has("RANK")) {
    place.size = static_cast<int>(has.number("WORLD_SIZE", 1, kMostRanks));
    if (place.size == 1) return {};
    place.rank = static_cast<int>(has.number("RANK", 0, place.size - 1));
    place.local_rank = static_cast<int>(has.number("LOCAL_RANK", 0, kMostRanks, 0));
    place.local_size = static_cast<int>(has.number("LOCAL_WORLD_SIZE", 1, kMostRanks, 1));
    place.address = has.text("MASTER_ADDR");
    // torchrun listens at MASTER_PORT itself, in words that change from one version of torch to the next.
    const bool taken =
        has.has("TORCHELASTIC_USE_AGENT_STORE") && has.text("TORCHELASTIC_USE_AGENT_STORE") == "True";
    place.port = static_cast<uint16_t>(has.number("MASTER_PORT", 1, kMostPort - 1) + (taken ? 1 : 0));
  } else if (has.has("SLURM_STEP_NUM_TASKS") && has.has("SLURM_PROCID")) {
    place.size = static_cast<int>(has.number("SLURM_STEP_NUM_TASKS", 1, kMostRanks));
    if (place.size == 1) return {};
    place.rank = static_cast<int>(has.number("SLURM_PROCID", 0, place.size - 1));
    place.local_rank = static_cast<int>(has.number("SLURM_LOCALID", 0, kMostRanks, 0));
    const std::string tasks =
        has.has("SLURM_STEP_TASKS_PER_NODE") ? has.text("SLURM_STEP_TASKS_PER_NODE") : "";
    std::from_chars(tasks.data(), tasks.data() + tasks.size(),
                    place.local_size);  // "4(x2),1": of the first node
    place.local_size = std::max(place.local_size, place.local_rank + 1);
    place.address =
        has.has("MASTER_ADDR") ? has.text("MASTER_ADDR") : first_host(has.text("SLURM_STEP_NODELIST"));
    place.port = static_cast<uint16_t>(has.has("MASTER_PORT")
                                           ? has.number("MASTER_PORT", 1, kMostPort)
                                           : kFirstPort + has.number("SLURM_JOB_ID", 0, INT64_MAX) % kPorts);
  }
  return place;
}

}  // namespace mambaseg

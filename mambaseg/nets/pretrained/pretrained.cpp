#include "mambaseg/nets/pretrained/pretrained.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "mambaseg/core/error.h"
#include "mambaseg/nets/pretrained/list.h"

namespace mambaseg {

#define MAMBASEG_DECLARE(NAME) PretrainedEncoder NAME##_encoder();
MAMBASEG_PRETRAINED(MAMBASEG_DECLARE)
#undef MAMBASEG_DECLARE

const std::vector<PretrainedEncoder>& pretrained_encoders() {
  static const std::vector<PretrainedEncoder> list{
#define MAMBASEG_CALL(NAME) NAME##_encoder(),
      MAMBASEG_PRETRAINED(MAMBASEG_CALL)
#undef MAMBASEG_CALL
  };
  return list;
}

namespace {

constexpr size_t kNamesShown = 3;

/// Under the names that they have in the network, or in its official classes.
std::vector<PlacedWeight> placed_by_name(const NetworkEntry& entry, const Weights& file) {
  std::vector<PlacedWeight> out;
  for (const auto& [name, value] : file) {
    std::string ours = name;
    for (const OfficialNetwork& one : entry.official)
      if (one.our_name != nullptr) ours = one.our_name(ours);
    out.push_back({name, ours, value});
  }
  return out;
}

bool fits(const PlacedWeight& weight, const Weights& own) {
  const auto found = own.find(weight.name);
  return found != own.end() && found->second.sizes() == weight.value.sizes();
}

int64_t fitting(const std::vector<PlacedWeight>& placed, const Weights& own) {
  return std::count_if(placed.begin(), placed.end(),
                       [&](const PlacedWeight& weight) { return fits(weight, own); });
}

/// ", 12 of the network stay as they were drawn (a, b, c, ...)"; "" without names.
std::string told(const std::vector<std::string>& names, const char* what) {
  if (names.empty()) return "";
  std::ostringstream out;
  out << ", " << names.size() << " " << what << " (";
  for (size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) out << (i ? ", " : "") << names[i];
  out << (names.size() > kNamesShown ? ", ...)" : ")");
  return out.str();
}

}  // namespace

std::string StartReport::text() const {
  std::ostringstream out;
  out.precision(3);
  out << taken << " of " << tensors << " tensors (" << double(parameters_taken) / 1e6 << " of "
      << double(parameters) / 1e6 << " M numbers) from " << encoder
      << told(untouched, "stay as they were drawn") << told(unused, "of the file were not taken")
      << told(misshaped, "of them for their size");
  return out.str();
}

StartReport start_from(torch::nn::Module& network, const std::string& name, const Weights& file) {
  const NetworkEntry& entry = find_network(name);
  const Weights own = weights_of(network);
  StartReport report;
  report.encoder = "weights of the same names";
  std::vector<PlacedWeight> best = placed_by_name(entry, file);
  int64_t most = fitting(best, own);
  for (const PretrainedEncoder& encoder : pretrained_encoders()) {
    std::vector<PlacedWeight> placed = encoder.placed(name, file, own);
    const int64_t count = fitting(placed, own);
    if (count <= most) continue;
    most = count;
    best = std::move(placed);
    report.encoder = encoder.name;
  }
  require(most > 0, "nothing of it fits the network ", name, ": no tensor of its ", file.size(),
          " has the name and size of one of ", own.size());
  std::set<std::string> taken, used, misshaped;
  const torch::NoGradGuard no_grad;
  for (const PlacedWeight& weight : best) {
    if (!fits(weight, own)) {
      if (own.count(weight.name) > 0) misshaped.insert(weight.entry);
      continue;
    }
    torch::Tensor(own.at(weight.name)).copy_(weight.value);
    taken.insert(weight.name);
    used.insert(weight.entry);
  }
  report.taken = static_cast<int64_t>(taken.size());
  report.tensors = static_cast<int64_t>(own.size());
  for (const auto& [ours, tensor] : own) {
    report.parameters += tensor.numel();
    if (taken.count(ours) > 0)
      report.parameters_taken += tensor.numel();
    else
      report.untouched.push_back(ours);
  }
  for (const auto& [theirs, tensor] : file) {
    if (used.count(theirs) > 0) continue;
    report.unused.push_back(theirs);
    if (misshaped.count(theirs) > 0) report.misshaped.push_back(theirs);
  }
  return report;
}

}  // namespace mambaseg

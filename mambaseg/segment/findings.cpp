#include "mambaseg/segment/findings.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/core/error.h"

namespace mambaseg {

std::optional<double> Findings::quality() const {
  double sum = 0;
  int64_t count = 0;
  for (const StructureFinding& one : structures)
    if (one.agreement) sum += *one.agreement, ++count;
  if (count == 0) return std::nullopt;
  return sum / static_cast<double>(count);
}

std::optional<double> Agreement::dice(const std::vector<int64_t>& members) const {
  const auto is_member = [&](int64_t number) {
    return std::find(members.begin(), members.end(), number) != members.end();
  };
  int64_t both = 0, sum = 0;
  for (const auto& [pair, count] : count_) {
    const bool one = is_member(pair.first), other = is_member(pair.second);
    sum += (one + other) * count;
    if (one && other) both += count;
  }
  if (sum == 0) return std::nullopt;
  return 2.0 * static_cast<double>(both) / static_cast<double>(sum);
}

void judge_agreement(Findings& findings, const Agreement& agreement,
                     const std::vector<std::vector<int64_t>>& members, double least, double least_mean) {
  std::string doubtful;
  for (size_t s = 0; s < findings.structures.size(); ++s) {
    StructureFinding& one = findings.structures[s];
    one.agreement = agreement.dice(members.at(s));
    if (one.agreement && *one.agreement < least)
      doubtful += concat(doubtful.empty() ? "" : ", ", one.name, " ", std::round(*one.agreement * 100) / 100);
  }
  if (!doubtful.empty())
    findings.flags.push_back(concat("a second look gives other labels (Dice below ", least, "): ", doubtful));
  if (const auto mean = findings.quality(); mean && *mean < least_mean)
    findings.flags.push_back(concat("a second look gives other labels all over: mean Dice ",
                                    std::round(*mean * 100) / 100, ", expected ", least_mean));
}

}  // namespace mambaseg

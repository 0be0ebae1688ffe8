#include "mambaseg/segment/findings.h"

#include <cmath>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

int64_t count_of(const std::map<int64_t, int64_t>& counts, int64_t number) {
  const auto found = counts.find(number);
  return found == counts.end() ? 0 : found->second;
}

}  // namespace

std::optional<double> Findings::quality() const {
  double sum = 0;
  int64_t count = 0;
  for (const StructureFinding& one : structures)
    if (one.agreement) sum += *one.agreement, ++count;
  if (count == 0) return std::nullopt;
  return sum / static_cast<double>(count);
}

std::optional<double> Agreement::dice(int64_t number) const {
  const int64_t sum = count_of(of_one_, number) + count_of(of_other_, number);
  if (sum == 0) return std::nullopt;
  return 2.0 * static_cast<double>(count_of(of_both_, number)) / static_cast<double>(sum);
}

void judge_agreement(Findings& findings, const Agreement& agreement, double least, double least_mean) {
  std::string doubtful;
  for (StructureFinding& one : findings.structures) {
    one.agreement = agreement.dice(one.id);
    if (one.agreement && *one.agreement < least)
      doubtful += concat(doubtful.empty() ? "" : ", ", one.name, " ", std::round(*one.agreement * 100) / 100);
  }
  if (!doubtful.empty())
    findings.flags.push_back(
        concat("the mirrored image gives other labels (Dice below ", least, "): ", doubtful));
  if (const auto mean = findings.quality(); mean && *mean < least_mean)
    findings.flags.push_back(concat("the mirrored image gives other labels all over: mean Dice ",
                                    std::round(*mean * 100) / 100, ", expected ", least_mean));
}

}  // namespace mambaseg

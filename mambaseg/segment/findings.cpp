#include "mambaseg/segment/findings.h"

#include <array>
#include <cmath>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

int64_t count_of(const std::map<int64_t, int64_t>& counts, int64_t number) {
  const auto found = counts.find(number);
  return found == counts.end() ? 0 : found->second;
}

/// The name with the side exchanged, or "".
std::string other_side(const std::string& name) {
  constexpr std::array<std::array<const char*, 2>, 3> kSides{
      {{"Left", "Right"}, {"left", "right"}, {"lh", "rh"}}};
  for (const auto& sides : kSides)
    for (const size_t side : {0, 1}) {
      const std::string word = sides[side];
      const size_t at = name.find(word);
      if (at == std::string::npos) continue;
      const bool begins = at == 0 || !std::isalpha(static_cast<unsigned char>(name[at - 1]));
      const size_t end = at + word.size();
      const bool ends = end == name.size() || !std::islower(static_cast<unsigned char>(name[end]));
      if (begins && ends) return name.substr(0, at) + sides[1 - side] + name.substr(end);
    }
  return "";
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

std::map<int64_t, int64_t> other_sides(const std::vector<LabelClass>& classes) {
  std::map<std::string, int64_t> by_name;
  for (const LabelClass& one : classes) by_name[one.name] = one.ids.at(0);
  std::map<int64_t, int64_t> sides;
  for (const auto& [name, id] : by_name)
    if (const auto found = by_name.find(other_side(name)); found != by_name.end()) sides[id] = found->second;
  return sides;
}

std::optional<double> Agreement::dice(int64_t number) const {
  const int64_t sum = count_of(of_one_, number) + count_of(of_other_, number);
  if (sum == 0) return std::nullopt;
  return 2.0 * static_cast<double>(count_of(of_both_, number)) / static_cast<double>(sum);
}

void judge_agreement(Findings& findings, const Agreement& agreement, double least) {
  std::string doubtful;
  for (StructureFinding& one : findings.structures) {
    one.agreement = agreement.dice(one.id);
    if (one.agreement && *one.agreement < least)
      doubtful += concat(doubtful.empty() ? "" : ", ", one.name, " ", std::round(*one.agreement * 100) / 100);
  }
  if (!doubtful.empty())
    findings.flags.push_back(
        concat("the mirrored image gives other labels (Dice below ", least, "): ", doubtful));
}

}  // namespace mambaseg

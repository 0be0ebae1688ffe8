#include "mambaseg/data/sides.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

/// The word for the first, which keeps its class where sides are merged, and that for the other side.
constexpr std::array<std::array<const char*, 2>, 3> kSides{
    {{"Right", "Left"}, {"right", "left"}, {"lh", "rh"}}};

/// The name with the side exchanged, or "". `first` is set to whether its own side is the first.
std::string other_side(const std::string& name, bool* first = nullptr) {
  for (const auto& sides : kSides)
    for (const size_t side : {0, 1}) {
      const std::string word = sides[side];
      const size_t at = name.find(word);
      if (at == std::string::npos) continue;
      const bool begins = at == 0 || !std::isalpha(static_cast<unsigned char>(name[at - 1]));
      const size_t end = at + word.size();
      const bool ends = end == name.size() || !std::islower(static_cast<unsigned char>(name[end]));
      if (!begins || !ends) continue;
      if (first) *first = side == 0;
      return name.substr(0, at) + sides[1 - side] + name.substr(end);
    }
  return "";
}

}  // namespace

int left_right_axis(const std::string& orientation) {
  const size_t axis = orientation.find_first_of("LR");
  if (axis == std::string::npos)
    throw UsageError(concat("orientation \"", orientation, "\" has no left-right axis"));
  return static_cast<int>(axis);
}

std::map<int64_t, int64_t> other_sides(const std::vector<LabelClass>& classes) {
  std::map<std::string, int64_t> by_name;
  for (const LabelClass& one : classes) by_name[one.name] = one.ids.at(0);
  std::map<int64_t, int64_t> sides;
  for (const auto& [name, id] : by_name)
    if (const auto found = by_name.find(other_side(name)); found != by_name.end()) sides[id] = found->second;
  return sides;
}

std::vector<int64_t> other_side_maps(const std::vector<LabelClass>& classes) {
  std::vector<int64_t> maps{0};
  bool any = false;
  for (size_t k = 0; k < classes.size(); ++k) {
    const std::string name = other_side(classes[k].name);
    const auto other =
        std::find_if(classes.begin(), classes.end(), [&](const LabelClass& one) { return one.name == name; });
    any = any || other != classes.end();
    maps.push_back(1 + (other == classes.end() ? static_cast<int64_t>(k) : other - classes.begin()));
  }
  return any ? maps : std::vector<int64_t>{};
}

std::vector<int64_t> classes_without_sides(const std::vector<LabelClass>& classes) {
  const std::vector<int64_t> others = other_side_maps(classes);
  if (others.empty()) return {};
  std::vector<int64_t> merged(classes.size() + 1, 0);
  const auto goes_along = [&](size_t k) {
    bool first = true;
    other_side(classes[k - 1].name, &first);
    return others[k] != static_cast<int64_t>(k) && !first;
  };
  int64_t count = 0;
  for (size_t k = 1; k <= classes.size(); ++k)
    if (!goes_along(k)) merged[k] = ++count;
  for (size_t k = 1; k <= classes.size(); ++k)
    if (goes_along(k)) merged[k] = merged[static_cast<size_t>(others[k])];
  return merged;
}

}  // namespace mambaseg

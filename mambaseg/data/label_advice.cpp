#include "mambaseg/data/label_advice.h"

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr size_t kShown = 12;

template <class Values>
std::string listed(const Values& values) {
  std::string text;
  size_t count = 0;
  for (const auto& value : values)
    if (count++ < kShown) text += concat(text.empty() ? "" : ", ", value);
  return count > kShown ? concat(text, " and ", count - kShown, " more") : text;
}

}  // namespace

LabelAdvice label_advice(const LabelOccurrence& found) {
  LabelAdvice out;
  std::vector<std::string> missing;
  for (size_t s = 0; s < found.structures.size(); ++s)
    if (found.voxels.at(s + 1) == 0) missing.push_back(found.structures[s]);
  if (missing.size() == found.structures.size()) {
    out.problem =
        concat("nothing to learn: no ", found.of, " holds ", listed(missing),
               found.unnamed.empty() ? "; the labels are empty"
                                     : concat("; the files hold the numbers ", listed(found.unnamed),
                                              ", which no class of [plan] names"));
  } else if (!missing.empty()) {
    out.warnings.push_back(concat("no ", found.of, " holds ", listed(missing), "; the network cannot learn ",
                                  missing.size() == 1 ? "it" : "them"));
  }
  if (!found.unnamed.empty())
    out.warnings.push_back(
        concat("label numbers in no class of [plan] count as background (plan.unknown_labels): ",
               listed(found.unnamed)));
  return out;
}

}  // namespace mambaseg

#include "mambaseg/core/error.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace mambaseg {
namespace {

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string in_context(const std::string& context, const std::string& message) {
  const std::string words = context + ": ";
  return message.starts_with(words) ? message : words + message;
}

std::string nearest_word(const std::string& word, const std::string* begin, const std::string* end) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string* candidate = begin; candidate != end; ++candidate) {
    const size_t distance = edit_distance(word, *candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = *candidate;
    }
  }
  return best;
}

}  // namespace mambaseg

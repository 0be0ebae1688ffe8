#include "mambaseg/train/validation.h"

#include <cstdint>

namespace mambaseg {

CaseDice dice_of(const torch::Tensor& predicted, const torch::Tensor& labelled,
                 const std::vector<std::vector<int64_t>>& structures) {
  constexpr size_t kClasses = kIgnoredClass + 1;
  std::vector<int64_t> voxels(kClasses * kClasses, 0);  // of each pair of predicted and labelled class
  const auto p = predicted.to(torch::kUInt8).contiguous(), l = labelled.to(torch::kUInt8).contiguous();
  for (int64_t i = 0; i < l.numel(); ++i)
    ++voxels[p.data_ptr<uint8_t>()[i] * kClasses + l.data_ptr<uint8_t>()[i]];
  CaseDice dice;
  for (const auto& structure : structures) {
    std::vector<bool> member(kClasses, false);
    for (const int64_t k : structure) member[static_cast<size_t>(k)] = true;
    int64_t labels = 0, predictions = 0, hits = 0;
    for (size_t a = 0; a < kClasses; ++a)
      for (size_t b = 0; b < kIgnoredClass; ++b) {
        const int64_t count = voxels[a * kClasses + b];
        if (member[a]) predictions += count;
        if (member[b]) labels += count;
        if (member[a] && member[b]) hits += count;
      }
    if (labels == 0)
      dice.emplace_back();
    else
      dice.emplace_back(2 * static_cast<double>(hits) / static_cast<double>(labels + predictions));
  }
  return dice;
}

CaseDice class_means(const std::vector<CaseDice>& cases) {
  CaseDice means;
  for (size_t k = 0; !cases.empty() && k < cases[0].size(); ++k) {
    double sum = 0;
    int64_t count = 0;
    for (const CaseDice& one : cases)
      if (one[k]) sum += *one[k], ++count;
    means.push_back(count ? std::optional<double>(sum / static_cast<double>(count)) : std::nullopt);
  }
  return means;
}

double mean_dice(const std::vector<CaseDice>& cases) {
  double total = 0;
  int64_t counted = 0;
  for (const CaseDice& one : cases) {
    double sum = 0;
    int64_t present = 0;
    for (const auto& dice : one)
      if (dice) sum += *dice, ++present;
    if (present) total += sum / static_cast<double>(present), ++counted;
  }
  return counted ? total / static_cast<double>(counted) : 0;
}

}  // namespace mambaseg

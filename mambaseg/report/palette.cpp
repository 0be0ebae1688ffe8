#include "mambaseg/report/palette.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace mambaseg {
namespace {

struct Entry {
  int32_t label;
  Colour colour;
};

// FreeSurfer's colours of the subcortical structures (FreeSurferColorLUT.txt), ascending.
constexpr Entry kFreeSurfer[] = {
    {2, {245, 245, 245}},  {3, {205, 62, 78}},   {4, {120, 18, 134}},   {5, {196, 58, 250}},
    {7, {220, 248, 164}},  {8, {230, 148, 34}},  {10, {0, 118, 14}},    {11, {122, 186, 220}},
    {12, {236, 13, 176}},  {13, {12, 48, 255}},  {14, {204, 182, 142}}, {15, {42, 204, 164}},
    {16, {119, 159, 176}}, {17, {220, 216, 20}}, {18, {103, 255, 255}}, {24, {60, 60, 60}},
    {26, {255, 165, 0}},   {28, {165, 42, 42}},  {30, {160, 32, 240}},  {31, {0, 200, 200}},
    {41, {0, 225, 0}},     {42, {205, 62, 78}},  {43, {120, 18, 134}},  {44, {196, 58, 250}},
    {46, {220, 248, 164}}, {47, {230, 148, 34}}, {49, {0, 118, 14}},    {50, {122, 186, 220}},
    {51, {236, 13, 176}},  {52, {13, 48, 255}},  {53, {220, 216, 20}},  {54, {103, 255, 255}},
    {58, {255, 165, 0}},   {60, {165, 42, 42}},  {62, {160, 32, 240}},  {63, {0, 200, 221}},
    {72, {120, 190, 150}}, {77, {200, 70, 255}}, {80, {164, 108, 226}}, {85, {234, 169, 30}},
    {251, {0, 0, 64}},     {252, {0, 0, 112}},   {253, {0, 0, 160}},    {254, {0, 0, 208}},
    {255, {0, 0, 255}},
};

constexpr Colour kFirst[] = {{235, 64, 52},  {66, 133, 244},  {251, 188, 5},   {52, 199, 89},
                             {191, 90, 242}, {255, 130, 30},  {40, 200, 210},  {255, 99, 160},
                             {160, 210, 60}, {130, 110, 240}, {200, 150, 100}, {120, 220, 180}};

const Entry* freesurfer_entry(int32_t label) {
  const auto found =
      std::lower_bound(std::begin(kFreeSurfer), std::end(kFreeSurfer), label,
                       [](const Entry& entry, int32_t wanted) { return entry.label < wanted; });
  return found != std::end(kFreeSurfer) && found->label == label ? found : nullptr;
}

Colour from_hue(double hue_turns, double value) {
  const auto channel = [&](double shift) {
    const double h = std::fmod(hue_turns + shift, 1.0) * 6;
    const double strength = std::clamp(std::abs(h - 3) - 1, 0.0, 1.0);
    return uint8_t(255 * value * (0.25 + 0.75 * strength));
  };
  return {channel(0), channel(2.0 / 3), channel(1.0 / 3)};
}

}  // namespace

Palette::Palette(std::span<const int32_t> labels)
    : labels_(labels.begin(), labels.end()),
      freesurfer_(!labels.empty() && labels.back() >= 10 &&
                  std::all_of(labels.begin(), labels.end(),
                              [](int32_t l) { return l >= 1000 || freesurfer_entry(l) != nullptr; })) {}

Colour Palette::colour(int32_t label) const {
  if (freesurfer_)
    if (const Entry* entry = freesurfer_entry(label)) return entry->colour;
  const auto rank = size_t(std::lower_bound(labels_.begin(), labels_.end(), label) - labels_.begin());
  if (rank < std::size(kFirst)) return kFirst[rank];
  return from_hue(std::fmod(0.618033988749895 * double(rank), 1.0), rank % 2 ? 1.0 : 0.8);
}

}  // namespace mambaseg

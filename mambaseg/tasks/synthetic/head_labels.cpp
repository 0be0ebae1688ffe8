#include "mambaseg/tasks/synthetic/head_labels.h"

#include <array>
#include <map>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

/// FreeSurfer's numbers of one tissue: on both sides, and in the middle.
struct Numbers {
  const char* tissue;
  std::vector<std::array<int64_t, 2>> pairs;
  std::vector<int64_t> middle;
};

std::vector<Numbers> numbers_of_tissues() {
  std::vector<Numbers> out{
      {"white matter", {{2, 41}, {78, 79}}, {192, 250, 251, 252, 253, 254, 255}},
      {"cerebral cortex", {{3, 42}}, {}},
      {"lateral ventricle", {{4, 43}}, {72}},
      {"inferior lateral ventricle", {{5, 44}}, {}},
      {"cerebellum white matter", {{7, 46}}, {}},
      {"cerebellum cortex", {{8, 47}}, {}},
      {"thalamus", {{9, 48}, {10, 49}}, {}},
      {"caudate", {{11, 50}}, {}},
      {"putamen", {{12, 51}}, {}},
      {"pallidum", {{13, 52}}, {}},
      {"third ventricle", {}, {14}},
      {"fourth ventricle", {}, {15}},
      {"brain stem", {}, {16}},
      {"hippocampus", {{17, 53}}, {}},
      {"amygdala", {{18, 54}}, {}},
      {"cerebrospinal fluid", {}, {24}},
      {"lesion", {{25, 57}, {81, 82}}, {77, 80}},
      {"accumbens", {{26, 58}}, {}},
      {"ventral diencephalon", {{28, 60}}, {}},
      {"vessel", {{30, 62}}, {}},
      // The numbers of SynthSeg's maps lie in the lateral and the inferior lateral ventricle.
      {"choroid plexus", {{31, 63}, {136, 163}, {137, 164}}, {}},
      {"optic nerve", {}, {85, 530}},
      {"artery", {}, {502}},
      {"eye", {}, {506}},
      {"soft tissue", {}, {507}},
      {"eye muscle", {}, {508}},
      {"mucosa", {}, {509}},
      {"skin", {}, {511}},
      {"spinal cord", {}, {512}},
      {"vein", {}, {514}},
      {"cortical bone", {}, {515}},
      {"cancellous bone", {}, {516}},
  };
  Numbers cortex{"cerebral cortex", {}, {}}, white{"white matter", {{5001, 5002}}, {}};
  for (int64_t parcel = 0; parcel <= 35; ++parcel) {  // aparc+aseg, wmparc
    cortex.pairs.push_back({1000 + parcel, 2000 + parcel});
    white.pairs.push_back({3000 + parcel, 4000 + parcel});
  }
  out.push_back(cortex);
  out.push_back(white);
  return out;
}

std::vector<HeadLabel> list_of_labels() {
  std::vector<HeadLabel> out{{0, 0, 0}};
  for (const Numbers& one : numbers_of_tissues()) {
    const int tissue = head_tissue_index(one.tissue);
    for (const auto& [left, right] : one.pairs) {
      out.push_back({left, right, tissue});
      out.push_back({right, left, tissue});
    }
    for (const int64_t number : one.middle) out.push_back({number, number, tissue});
  }
  return out;
}

}  // namespace

const std::vector<HeadTissue>& head_tissues() {
  // Deep structures and cerebellar white matter: smallest, middle and largest of the medians of 20 T1 scans
  // (OASIS, MPRAGE at 1.5 T) over those of cerebral white matter. The others: ranges in which T1-weighted
  // scans are seen to lie; bone, fat, muscle and vessels vary most, with fat suppression, inflow and
  // position.
  using enum TissuePlace;
  static const std::vector<HeadTissue> tissues{
      {{"air", 0, 0, 0.02, 0, 0}, air},
      {{"white matter", 1, 1, 1, 0.025, 0.035}, brain},
      {{"cerebral cortex", 0.56, 0.63, 0.70, 0.04, 0.04}, brain},
      {{"lateral ventricle", 0.16, 0.33, 0.45, 0.025, 0.02}, brain},
      {{"inferior lateral ventricle", 0.20, 0.36, 0.48, 0.03, 0.03}, brain},
      {{"cerebellum white matter", 0.89, 0.96, 1.02, 0.03, 0.04}, brain},
      {{"cerebellum cortex", 0.55, 0.64, 0.72, 0.04, 0.05}, brain},
      {{"thalamus", 0.80, 0.84, 0.88, 0.03, 0.06}, brain},
      {{"caudate", 0.68, 0.71, 0.75, 0.03, 0.04}, brain},
      {{"putamen", 0.77, 0.81, 0.87, 0.03, 0.04}, brain},
      {{"pallidum", 0.93, 0.97, 1.03, 0.03, 0.04}, brain},
      {{"third ventricle", 0.18, 0.35, 0.48, 0.03, 0.03}, brain},
      {{"fourth ventricle", 0.16, 0.33, 0.46, 0.03, 0.03}, brain},
      {{"brain stem", 0.83, 0.87, 0.92, 0.03, 0.05}, brain},
      {{"hippocampus", 0.60, 0.63, 0.67, 0.03, 0.04}, brain},
      {{"amygdala", 0.59, 0.63, 0.68, 0.03, 0.04}, brain},
      {{"cerebrospinal fluid", 0.12, 0.28, 0.42, 0.04, 0.06}, fluid},
      {{"lesion", 0.55, 0.75, 0.95, 0.03, 0.06}, brain},
      {{"accumbens", 0.63, 0.66, 0.72, 0.03, 0.04}, brain},
      {{"ventral diencephalon", 0.89, 0.93, 0.97, 0.03, 0.06}, brain},
      {{"vessel", 0.30, 0.60, 1.00, 0.03, 0.03}, brain},
      {{"choroid plexus", 0.38, 0.50, 0.62, 0.04, 0.06}, brain},
      {{"optic nerve", 0.60, 0.75, 0.90, 0.03, 0.03}, head},
      {{"artery", 0.15, 0.50, 1.50, 0.04, 0.10}, head},
      {{"eye", 0.15, 0.25, 0.38, 0.03, 0.03}, head},
      {{"soft tissue", 0.35, 0.65, 1.05, 0.05, 0.28}, head},
      {{"eye muscle", 0.45, 0.55, 0.70, 0.03, 0.05}, head},
      {{"mucosa", 0.40, 0.65, 0.95, 0.04, 0.15}, head},
      {{"skin", 0.50, 0.90, 1.50, 0.06, 0.22}, head},
      {{"spinal cord", 0.75, 0.85, 0.95, 0.03, 0.03}, head},
      {{"vein", 0.20, 0.45, 0.90, 0.04, 0.08}, head},
      {{"cortical bone", 0.03, 0.10, 0.20, 0.03, 0.04}, head},
      {{"cancellous bone", 0.25, 0.55, 1.10, 0.05, 0.14}, head},
  };
  return tissues;
}

const std::vector<HeadLabel>& head_labels() {
  static const std::vector<HeadLabel> labels = list_of_labels();
  return labels;
}

int head_label_index(int64_t number) {
  static const std::map<int64_t, int> indices = [] {
    std::map<int64_t, int> out;
    for (const HeadLabel& label : head_labels()) out.emplace(label.number, static_cast<int>(out.size()));
    return out;
  }();
  const auto found = indices.find(number);
  return found == indices.end() ? -1 : found->second;
}

int head_tissue_index(const std::string& name) {
  std::vector<std::string> names;
  for (const HeadTissue& tissue : head_tissues()) {
    if (tissue.prior.name == name) return static_cast<int>(names.size());
    names.push_back(tissue.prior.name);
  }
  throw UsageError(concat("no tissue of a head is called \"", name, "\"; did you mean \"",
                          nearest_word(name, names.data(), names.data() + names.size()), "\"?"));
}

}  // namespace mambaseg

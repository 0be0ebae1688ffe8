#include "mambaseg/data/label_tables.h"

namespace mambaseg {

std::vector<LabelClass> freesurfer_subcortical_classes() {
  return {{"left lateral ventricle", {4}},
          {"left inferior lateral ventricle", {5}},
          {"left cerebellum white matter", {7}},
          {"left cerebellum cortex", {8}},
          {"left thalamus", {10}},
          {"left caudate", {11}},
          {"left putamen", {12}},
          {"left pallidum", {13}},
          {"third ventricle", {14}},
          {"fourth ventricle", {15}},
          {"brain stem", {16}},
          {"left hippocampus", {17}},
          {"left amygdala", {18}},
          {"cerebrospinal fluid", {24}},
          {"left accumbens", {26}},
          {"left ventral diencephalon", {28}},
          {"left choroid plexus", {31}},
          {"right lateral ventricle", {43}},
          {"right inferior lateral ventricle", {44}},
          {"right cerebellum white matter", {46}},
          {"right cerebellum cortex", {47}},
          {"right thalamus", {49}},
          {"right caudate", {50}},
          {"right putamen", {51}},
          {"right pallidum", {52}},
          {"right hippocampus", {53}},
          {"right amygdala", {54}},
          {"right accumbens", {58}},
          {"right ventral diencephalon", {60}},
          {"right choroid plexus", {63}},
          {"white matter hypointensities", {77}}};
}

std::vector<LabelClass> freesurfer_hippocampal_classes() {
  const std::vector<LabelClass> subfields{{"parasubiculum", {203}},
                                          {"presubiculum", {204}},
                                          {"subiculum", {205}},
                                          {"CA1", {206}},
                                          {"CA3", {208}},
                                          {"CA4", {209}},
                                          {"GC-ML-DG", {210}},
                                          {"HATA", {211}},
                                          {"fimbria", {212}},
                                          {"molecular layer HP", {214}},
                                          {"hippocampal fissure", {215}},
                                          {"HP tail", {226}}};
  std::vector<LabelClass> out;
  for (const auto& [side, offset] : {std::pair{"left ", 1000}, std::pair{"right ", 2000}})
    for (const LabelClass& subfield : subfields)
      out.push_back({side + subfield.name, {offset + subfield.ids.front()}});
  return out;
}

std::vector<int64_t> freesurfer_hippocampus_ids() { return {17, 53}; }

}  // namespace mambaseg

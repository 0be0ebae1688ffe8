#pragma once

#include <map>
#include <string>
#include <vector>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// A file of weights. Stages follow each other: the first sees the whole image, the second what is around the
/// labels of the first.
struct ModelStage {
  std::string file;
  std::string sha256;
  void describe(SettingsVisitor& visit) {
    visit("file", file, "weights, a .safetensors file beside the card");
    visit("sha256", sha256, "its SHA-256 digest, as sha256sum prints it");
  }
};

/// What a model learned from.
struct CardTraining {
  std::string data, licence, source;
  void describe(SettingsVisitor& visit) {
    visit("data", data, "what it is, and how many");
    visit("licence", licence, "under which it may be used");
    visit("source", source, "where it comes from: address, file ids, citation");
  }
};

/// A measured figure.
struct ModelScore {
  std::string data, metric, structure;
  double value = 0;
  int64_t cases = 0;
  void describe(SettingsVisitor& visit) {
    visit("data", data, "what it was measured on");
    visit("metric", metric, "for example Dice");
    visit("structure", structure, "for example Left-Hippocampus, or mean of 14");
    visit("value", value, "the mean over the cases");
    visit("cases", cases, "number of images", at_least(0));
  }
};

/// In an image of the right kind the median of the dark structures over that of the bright ones is at most
/// this.
struct ContrastLimit {
  std::vector<std::string> dark, bright;
  double ratio = 1;
  void describe(SettingsVisitor& visit) {
    visit("dark", dark, "names of structures");
    visit("bright", bright, "names of structures");
    visit("ratio", ratio, "largest median of the dark over median of the bright ones", at_least(0));
  }
};

/// From where an image is refused, or labelled and flagged. 0 or empty: not looked at.
struct ModelLimits {
  double ct_share = 0, slice_mm = 0, slice_mm_refused = 0, least_found_ml = 0, border_mm2 = 0;
  std::vector<std::string> border_free;
  std::vector<ContrastLimit> contrast;
  std::map<std::string, std::vector<double>> volumes_ml;
  double least_chroma = 0, least_warm = 0;
  double agreement = 0, quality = 0, second_look_gamma = 1;

  void describe(SettingsVisitor& visit) {
    visit("ct_share", ct_share,
          "volumes: share of voxels from -1100 to -500 from which an image is refused as CT", between(0, 1));
    visit("slice_mm", slice_mm, "volumes: flagged when voxels are longer than this along an axis",
          at_least(0));
    visit("slice_mm_refused", slice_mm_refused, "volumes: refused when they are longer than this",
          at_least(0));
    visit("least_found_ml", least_found_ml,
          "volumes: refused when the labels of the first stage fill less: there is no head", at_least(0));
    visit("border_mm2", border_mm2,
          "volumes: flagged when a structure touches the border of the image, or of its part that is not 0, "
          "with more than this area: it is cut off",
          at_least(0));
    visit("border_free", border_free, "volumes: structures that may touch the border");
    visit("contrast", contrast, "volumes: flagged when structures have another contrast");
    visit("volumes_ml", volumes_ml,
          "volumes: structure to least and largest plausible volume; flagged beyond");
    visit("least_chroma", least_chroma,
          "pictures: refused as grey when the mean of the largest less the smallest colour of a pixel, "
          "0..255, is "
          "smaller",
          between(0, 255));
    visit("least_warm", least_warm,
          "pictures: flagged as no skin when a smaller share of the pixels has red above green and blue",
          between(0, 1));
    visit("agreement", agreement,
          "flagged when the labels of a structure agree less with those of the second look, at the mirrored "
          "image "
          "(Dice)",
          between(0, 1));
    visit(
        "second_look_gamma", second_look_gamma,
        "volumes: the second look is at an image whose values, 0 at the least and 1 at the 99.9 % point, are "
        "raised to this power as well; 1: as they are",
        between(0.2, 5));
    visit("quality", quality, "flagged when the mean agreement of all structures is less", between(0, 1));
  }
};

/// What people should know of a model before they use it: the file model.toml beside its weights. What the
/// weights say themselves (classes, input size, network) is not repeated.
struct ModelCard {
  std::string title, task, input, version, citation;
  std::vector<ModelStage> stages;
  std::vector<CardTraining> training;
  std::vector<ModelScore> scores;
  std::vector<std::string> failures;
  ModelLimits limits;

  void describe(SettingsVisitor& visit) {
    visit("title", title, "what it does, in one line");
    visit("task", task, "kind of images", one_of({"volumes", "pictures"}));
    visit("input", input, "the images it wants");
    visit("version", version, "of the model");
    visit("citation", citation, "what to cite");
    visit("stages", stages, "files of weights, in order");
    visit("training", training, "what it learned from");
    visit("scores", scores, "how good it is, and on what that was measured");
    visit("failures", failures, "what it is known to get wrong");
    visit("limits", limits, "what it refuses or flags");
  }
};

/// Reads a card. Throws UsageError naming the path: unknown or missing entries.
ModelCard read_model_card(const std::string& path);

}  // namespace mambaseg

#pragma once

#include <array>

#include "mambaseg/config/config.h"
#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/sample_source.h"

namespace mambaseg {

/// Random changes of training pictures. All are off by default.
struct PictureAugmentSettings {
  std::vector<double> flip{0, 0};
  double rotation = 0;
  double rotation_degrees = 180;
  double scale = 0;
  double colour = 0;
  double brightness = 0.2;
  double contrast = 0.2;
  double saturation = 0.2;
  double tint = 0.05;

  void describe(SettingsVisitor& visit) {
    visit("flip", flip, "probability of a flip top to bottom, and of one left to right", between(0, 1));
    visit("rotation", rotation, "probability of a rotation", between(0, 1));
    visit("rotation_degrees", rotation_degrees, "angles are drawn from -rotation_degrees..rotation_degrees",
          between(0, 180));
    visit("scale", scale, "edges are scaled by exp(u), u uniform in -scale..scale", between(0, 1));
    visit("colour", colour,
          "probability of a change of colours, in this order by a factor 1 + u each, u uniform in "
          "-setting..setting",
          between(0, 1));
    visit("brightness", brightness, "colour: of all values", between(0, 1));
    visit("contrast", contrast, "colour: of distances from the picture's mean grey", between(0, 1));
    visit("saturation", saturation, "colour: of distances from the pixel's own grey", between(0, 1));
    visit("tint", tint, "colour: of each channel by itself, as another white balance has it", between(0, 1));
  }
};

/// Where an augmented picture looks: pixel x = (row, column) shows the picture at c + M (x - c), c its
/// centre.
using PictureTransform = std::array<std::array<double, 2>, 2>;

/// Draws flips, rotation and scaling, in one matrix.
PictureTransform draw_transform(const PictureAugmentSettings& settings, Random& random);

/// The prepared picture and its mask seen through `transform`, both sampled at the same places in one pass:
/// bilinear picture, nearest mask; outside black and background, or ignored where some of the mask is. Exact
/// for flips.
Sample transformed(const PreparedCase& one, const PictureTransform& transform);

/// Changes brightness, contrast, saturation and tint of a picture (1 or 3, rows, columns) of values in 0..1,
/// in place; what leaves 0..1 is cut. Grey is that of ITU-R BT.601, as in torchvision's ColorJitter.
void change_colours(const PictureAugmentSettings& settings, torch::Tensor& image_CIJ, Random& random);

/// Draws one picture: one sample an epoch.
class PictureSampler : public SampleSource {
 public:
  PictureSampler(PreparedCase one, const PictureAugmentSettings& augment)
      : case_(std::move(one)), augment_(augment) {}

  const std::string& id() const override { return case_.id; }
  int64_t count() const override { return 1; }
  int64_t bytes() const override {
    return bytes_of_sample(case_.image_CIJK.size(0), case_.classes_IJK.numel());
  }
  Sample draw(int64_t sample, Random random) const override;

 private:
  PreparedCase case_;
  PictureAugmentSettings augment_;
};

}  // namespace mambaseg

#pragma once

#include "mambaseg/losses/loss.h"

namespace mambaseg {

/// HyM-UNet's loss (arXiv 2511.17988, equation 10): dice_weight L_Dice + bce_weight L_BCE + boundary_weight
/// L_Bd. The paper's formulas and weights are lost; each lost choice is a setting. Every part looks at one
/// class at a time and is the mean over the foreground classes: with one score map p = sigmoid(score), with K
/// maps p_k = softmax, whose log-odds are score_k - log sum of the others' exp.
///   L_Dice  1 - (2 sum p y + eps) / (sum p + sum y + eps), a value for each sample, then their mean
///   (equation 11) L_BCE   mean of bce = -y log p - (1 - y) log(1 - p), computed from the log-odds L_Bd bce
///   near the border: with a band M of pixels
///             masked    sum M bce / max(1, sum M)
///             weighted  mean of (1 + band_weight M) bce
/// The band is found by morphology with a square (cube) of edge 2 radius + 1:
///             gradient  dilation less erosion of the labels, both sides of the border
///             dilation  dilation less the labels, the outer side only
struct DiceBceBoundarySettings {
  double dice_weight = 1;
  double bce_weight = 1;
  double boundary_weight = 1;
  double epsilon = 1;
  int64_t radius = 3;
  std::string band = "gradient";
  std::string form = "masked";
  double band_weight = 4;
  void describe(SettingsVisitor& visit) {
    visit("dice_weight", dice_weight, "factor of the Dice part", at_least(0));
    visit("bce_weight", bce_weight, "factor of the binary cross-entropy", at_least(0));
    visit("boundary_weight", boundary_weight, "factor of the boundary part", at_least(0));
    visit("epsilon", epsilon, "Dice: added to numerator and denominator", at_least(1e-12));
    visit("radius", radius, "half width of the band along the border, pixels", at_least(1));
    visit("band", band, "gradient: dilation less erosion of the labels; dilation: dilation less the labels",
          one_of({"gradient", "dilation"}));
    visit("form", form,
          "masked: mean over the band; weighted: mean over all pixels, those of the band weigh more",
          one_of({"masked", "weighted"}));
    visit("band_weight", band_weight, "weighted: what a pixel of the band weighs more than another",
          at_least(0));
  }
};

/// log p / (1 - p) of the foreground classes: scores (B, K, spatial...) -> (B, max(1, K - 1), spatial...).
torch::Tensor foreground_log_odds(const torch::Tensor& scores);

/// Largest value within `radius` of each voxel along every axis after the first two; x (B, C, spatial...).
torch::Tensor dilated(const torch::Tensor& x, int64_t radius);

extern const LossEntry dice_bce_boundary_entry;

}  // namespace mambaseg

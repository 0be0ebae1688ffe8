#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mambaseg/data/label_settings.h"
#include "mambaseg/io/outputs.h"
#include "mambaseg/models/registry.h"
#include "mambaseg/segment/bids_images.h"
#include "mambaseg/segment/results.h"

namespace mambaseg {

/// A line of a TSV file of BIDS: empty cells are n/a, tabs and line ends in cells spaces.
std::string bids_line(const std::vector<std::string>& cells);

/// A BIDS derivative data set with the labels that one model gave to the images of another data set (BIDS
/// 1.10, Derivatives, Segmentations). Of an image sub-X[_ses-Y][...]_T1w, in sub-X/[ses-Y/]anat:
/// - ..._desc-MODEL_dseg.nii.gz, and .json with its source, flags and structures;
/// - ..._desc-MODEL_morph.tsv: a row for each structure.
/// Beside them a picture in sub-X/figures, a page at the top, logs/ for what failed. At the top
/// desc-MODEL_dseg.tsv (what the numbers mean) and desc-MODEL_morph.json (what the columns mean).
class BidsDerivatives {
 public:
  /// Throws Error when `output` is a data set that another program made.
  BidsDerivatives(std::string dataset, std::string output, const ModelInBox& model,
                  const std::string& version);

  std::string labels(const BidsImage& image) const;
  std::string sidecar(const BidsImage& image) const;
  std::string volumes(const BidsImage& image) const;
  std::string figure(const BidsImage& image) const;
  std::string page(const BidsImage& image) const;
  std::string failure(const BidsImage& image) const;
  std::string group_table() const;
  std::string group_page() const;
  /// Every file that a segmented image has.
  std::vector<Output> outputs(const BidsImage& image) const;

  /// Labels are written last, so whoever has them has everything.
  bool is_done(const BidsImage& image) const;

  /// dataset_description.json, README.md, .bidsignore and what holds for all images. `source`: the
  /// description of the data set with the images, null where it has none.
  void write_top(const Json& source, const std::vector<LabelClass>& classes) const;
  Json sidecar_of(const BidsImage& image, const Findings& findings, double seconds, bool quick) const;
  /// Everything but the labels; the figure is there.
  void write_findings(const BidsImage& image, const Json& sidecar) const;
  void write_failure(const BidsImage& image, const std::string& why) const;

  /// The table of all images and a page that shows it; how many of them have labels.
  size_t write_group(const std::vector<BidsImage>& images) const;

 private:
  std::string at_top(const std::string& file) const;
  std::string beside(const BidsImage& image, const std::string& ending) const;
  std::string why_not(const BidsImage& image) const;

  std::string dataset_, output_, desc_;
  SegmentedBy by_;
};

}  // namespace mambaseg

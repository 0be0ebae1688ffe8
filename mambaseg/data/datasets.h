#pragma once

#include <string>
#include <vector>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// One scan or picture of a dataset: its image channels and its labels, as paths.
struct Case {
  std::string id;
  std::vector<std::string> images;  ///< one file a channel, all on one grid
  std::string labels;               ///< "" when there are none
  std::string region;     ///< label file of an earlier stage that Plan::region_labels looks at, or ""
  std::string subset{};   ///< "train", "validation" or "test" where the dataset itself is divided, else ""
  std::string subject{};  ///< whose scan it is, where a subject may have several; "": the case is a subject
};

/// Where cases come from. Links to folders and files are followed; what points to nothing is a problem. These
/// layouts are read as they are:
///   decathlon   Medical Segmentation Decathlon and nnU-Net: dataset.json, imagesTr/, labelsTr/ (image names
///   with or
///               without the channel number _0000)
///   freesurfer  a SUBJECTS_DIR: SUBJECT/mri/norm.mgz and SUBJECT/mri/aseg.mgz, or other names below SUBJECT
///   folders     images/NAME.nii.gz and labels/NAME.nii.gz
///   bids        sub-X[_ses-Y]..._CHANNEL.nii.gz and ..._MASK.nii.gz anywhere below the folder (ATLAS v2.0,
///   ISLES
///               2022)
/// and of pictures (PNG, JPEG, BMP):
///   masks       images/NAME and masks/NAME (Kvasir-SEG), or such a pair in each of train/, validation/,
///   test/ isic        ISIC 2018 task 1: *Training_Input/NAME.jpg,
///   *Training_GroundTruth/NAME_segmentation.png ph2         IMD002/IMD002_Dermoscopic_Image/IMD002.bmp,
///   IMD002/IMD002_lesion/IMD002_lesion.bmp
struct DatasetSettings {
  std::string folder;
  std::string layout = "auto";
  std::string image = "mri/norm.mgz";
  std::string labels = "mri/aseg.mgz";
  std::string region;
  std::vector<std::string> channels;
  std::string mask = "mask";

  void describe(SettingsVisitor& visit) {
    visit("folder", folder, "folder of the dataset");
    visit(
        "layout", layout,
        "auto; decathlon: dataset.json, imagesTr, labelsTr (also nnU-Net); freesurfer: a SUBJECTS_DIR; "
        "folders: "
        "images/ and labels/ with the same names; label_maps: labels/, with images/ where there is a scan; "
        "bids: sub-*/ files by their last word; of pictures "
        "masks: images/ and masks/; isic: ISIC 2018 "
        "task 1; ph2: PH2",
        one_of({"auto", "decathlon", "freesurfer", "folders", "label_maps", "bids", "masks", "isic", "ph2"}));
    visit("image", image, "freesurfer: image below the subject's folder, for example mri/brainmask.mgz");
    visit("labels", labels, "freesurfer: label volume below the subject's folder");
    visit("region", region,
          "freesurfer: label volume of the earlier stage below the subject's folder (hippocampal stage)");
    visit("channels", channels, "bids: last words of the image names, one a channel, as T1w, or dwi and adc");
    visit("mask", mask, "bids: last word of the label names, as mask or msk");
  }
};

/// The cases of a dataset, sorted by id, each with images and labels. Throws one Error that lists every
/// problem: missing labels, files or channels, names used twice, no case at all.
std::vector<Case> read_dataset(const DatasetSettings& settings);

/// How many channels the images of a case have, by their headers. Throws Error naming an unreadable file.
int64_t channels_of(const Case& one);

/// How cases are divided, in this order of precedence: the lists; the file; folds; splits_final.json in the
/// folder of the dataset; the subsets of the dataset; the seeded fractions. Test cases are kept apart from
/// training and validation.
struct SplitSettings {
  std::vector<std::string> train;
  std::vector<std::string> validation;
  std::vector<std::string> test;
  std::string file;
  double validation_fraction = 0.2;
  double test_fraction = 0;
  std::string group;
  uint64_t seed = 0;
  int64_t folds = 0;
  int64_t fold = 0;
  int64_t repeat = 0;

  void describe(SettingsVisitor& visit) {
    visit("train", train, "ids of the training cases; empty: the file or all that is in no other list");
    visit("validation", validation, "ids of the validation cases");
    visit("test", test, "ids of the test cases");
    visit("file", file,
          "JSON file {\"train\": [...], \"validation\": [...], \"test\": [...]} as a run writes it, also "
          "nnU-Net's list of folds");
    visit("validation_fraction", validation_fraction, "share of the cases (or groups) that validate",
          between(0, 0.9));
    visit("test_fraction", test_fraction, "share of the cases (or groups) that is kept for the test",
          between(0, 0.9));
    visit("group", group,
          "regular expression; cases whose ids share its first match stay together, as ^(P[0-9]+); empty: "
          "those "
          "of one subject");
    visit("seed", seed, "seed of the shuffle that fractions and folds begin with");
    visit("folds", folds, "cross-validation: number of folds, in place of validation_fraction; 0: none",
          at_least(0));
    visit("fold", fold, "the fold that validates, from 0; also which entry of nnU-Net's list in `file`",
          at_least(0));
    visit("repeat", repeat, "number of the random split: each has a shuffle of its own", at_least(0));
  }
};

/// The settings with nnU-Net's splits_final.json in the folder of the dataset as `file`, where it is there
/// and neither lists nor a file nor folds are set.
SplitSettings with_split_of_dataset(SplitSettings settings, const DatasetSettings& dataset);

struct Split {
  std::vector<Case> train;
  std::vector<Case> validation;
  std::vector<Case> test;
  std::vector<std::string> unlisted;  ///< ids of cases in no list of a file or recipe: not used
};

/// Divides the cases. Throws one Error that lists unknown ids, ids in two lists, subjects (or groups) with
/// cases in two lists, and an empty training list.
Split split_cases(const std::vector<Case>& cases, const SplitSettings& settings);

/// "2 cases are in no list of splits_final.json and stay unused: a, b"; empty when every case is in one.
std::string unlisted_cases(const Split& split, const SplitSettings& settings);

/// The ids of a split in the form that SplitSettings::file reads.
Json split_json(const Split& split);

/// The lists of such a file. Throws Error naming the file when it is none.
struct SplitLists {
  std::vector<std::string> train, validation, test;
};
SplitLists read_split_file(const std::string& path, int64_t fold = 0);

}  // namespace mambaseg

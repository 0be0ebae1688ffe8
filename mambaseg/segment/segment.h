#pragma once

#include <optional>
#include <string>
#include <vector>

#include <torch/types.h>

#include "mambaseg/infer/precision.h"
#include "mambaseg/infer/predictor.h"
#include "mambaseg/models/registry.h"
#include "mambaseg/tasks/task.h"

namespace mambaseg {

/// What `segment` is asked for.
struct SegmentRequest {
  std::vector<std::string> inputs;         ///< files, folders, DICOM folders, SUBJECTS_DIR
  std::string output = "segmented";        ///< a folder
  std::vector<std::string> model;          ///< find_model; empty: by the kind of the images
  std::vector<std::string> model_folders;  ///< where models lie
  bool overwrite = false;                  ///< otherwise images that have outputs are passed over
  bool quick = false;                      ///< no second look at the mirrored image
  double memory_gib = 0;
  torch::Device device = torch::kCPU;
  Precision precision = Precision::automatic;
  std::optional<Shard> shard = {};  ///< one of several workers (Cohort)
  std::string version;              ///< of the program, for the sidecar files
};

/// How the request has volumes computed.
PredictorSettings predictor_settings(const SegmentRequest& request);

/// The model that the request names, or the one for `task` ("volumes", "pictures"), which is noted.
/// UsageError when it is for other images.
ModelInBox chosen_model(const SegmentRequest& request, const std::string& task, const Listeners& listeners);

/// Segments images with one model and writes into the folder `output`, for an image NAME
/// - volumes: NAME.nii.gz (labels on the grid of the file, the names of the numbers in a header extension),
///   NAME.aseg.stats, NAME.html (three planes, volumes), and of all together volumes.tsv;
/// - pictures: NAME.png (mask), and of all together areas.tsv;
/// - both: overlay/NAME.png, index.html, and NAME.json (what was found). Labels are written last.
/// The tables and index.html hold every image of the folder that the model has segmented, so a call that was
/// ended goes on where it was. The next image is read while the network runs. Throws UsageError for a call
/// that makes no sense, Error at the end when images failed or were refused.
void segment_images(const SegmentRequest& request, const Listeners& listeners);

}  // namespace mambaseg

#pragma once

#include <vector>

#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/sample_source.h"
#include "mambaseg/tasks/task.h"
#include "mambaseg/train/run_folder.h"
#include "mambaseg/train/trainer.h"

namespace mambaseg {

/// The cases of a run, ready to train and validate with.
struct TrainingData {
  SampleSources samplers;  ///< of the training cases
  std::vector<PreparedCase> validation;
  std::vector<double> class_voxels;  ///< of background and of each structure, in all training cases
};

/// Reads and divides the dataset, prepares what the cache lacks, checks that it can be trained with, and
/// notes in the folder of the run what it trains with. Throws Error for data that are not of the recipe or of
/// the run to be resumed.
TrainingData training_data(const TrainOptions& options, const Task& task, RunFolder& folder);

}  // namespace mambaseg

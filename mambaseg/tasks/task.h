#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <torch/types.h>

#include "mambaseg/config/config.h"
#include "mambaseg/core/progress.h"
#include "mambaseg/core/shard.h"
#include "mambaseg/core/workers.h"
#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/sample_source.h"
#include "mambaseg/infer/precision.h"
#include "mambaseg/losses/loss.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// What a network learns, as losses and scores see it.
struct LearnedLabels {
  std::vector<std::string> structures;           ///< names
  std::vector<std::vector<int64_t>> classes_of;  ///< the class numbers that form each structure (LabelScheme)
  bool regions = false;                          ///< structures may overlap
  bool ignores = false;                          ///< labels may be kIgnoredClass
};

/// What a loss may want to know. `class_voxels`: of background and of each structure.
LossData loss_data(const LearnedLabels& labels, std::vector<double> class_voxels = {});

/// What `plan` is asked for.
struct PlanRequest {
  std::vector<Case> cases;
  Json network;  ///< [network] of the recipe
  double memory_gib = 8;
  Workers workers;
  Progress progress;
};

/// What it answers.
struct PlanAnswer {
  std::vector<std::string> problems;  ///< why the cases cannot be trained with; then there is nothing else
  std::vector<std::string> warnings;
  std::vector<std::pair<std::string, Json>> files;  ///< name and content; plan.json is a recipe
  std::vector<std::string> lines;                   ///< for a person
};

/// What `predict` is asked for. Each kind of images refuses what it does not have with a UsageError.
struct PredictRequest {
  std::vector<std::string> models, inputs;
  std::vector<Case> cases;  ///< of a data set, in place of inputs: OUTPUT/ID.nii.gz, of pictures ID.png
  std::string output;
  std::string split;  ///< file of a run; only its test cases
  int64_t step = 0;   ///< voxels between patches; 0: the plan's
  int64_t batch = 1;  ///< patches or pictures that go through the network together
  double memory_gib = 0;
  bool mirror = true;
  int64_t quarter_from = 0;  ///< QuarterMap on planes of that many tokens or more; 0: on none
  double least_mm3 = 0;      ///< smaller components are removed
  bool resume = false, probability = false, overlay = false;
  std::optional<Shard> shard = {};  ///< one of several workers (Cohort): what is there is kept
  torch::Device device = torch::kCPU;
  Precision precision = Precision::fp32;
};

/// Who hears of long work.
struct Listeners {
  Progress progress;
  Warn warn;  ///< what a person should know
  Warn note;  ///< what is done, line by line
};

/// A kind of images. Its tables of a recipe, and everything that depends on the kind between a data set and a
/// prediction: the only place that tells volumes from pictures. Commands and the trainer know a Task.
class Task {
 public:
  virtual ~Task() = default;
  virtual std::unique_ptr<Task> clone() const = 0;
  virtual const char* name() const = 0;
  /// What goes through the network at a time, for messages: "patches".
  virtual const char* samples() const = 0;

  /// The tables that it has in a recipe, as [plan] and [augment].
  virtual void describe(SettingsVisitor& visit) = 0;
  /// Throws UsageError when they do not fit each other.
  virtual void check() const = 0;
  /// Labels, where the data set names them and the settings do not.
  virtual void take_labels(const DatasetSettings& dataset) = 0;

  /// [plan], which is kept in the model.
  virtual Json plan_json() const = 0;
  virtual void set_plan(const Json& plan) = 0;

  virtual LearnedLabels labels() const = 0;
  /// The settings of the network that the plan decides, as its "classes".
  virtual Json network() const = 0;
  /// Whether the network has as many channels as the images (where its settings leave that open).
  virtual bool channels_are_of_data() const = 0;
  /// Channels that the network reads of an image of so many.
  virtual int64_t network_channels(int64_t of_image) const { return of_image; }
  /// What the network sees while it is trained, voxels an axis, and the setting that says so: "plan.patch".
  virtual std::vector<int64_t> input_edges() const = 0;
  virtual const char* input_edges_setting() const = 0;
  /// Samples whose gradients are averaged where the recipe leaves it open, of batches of `batch`; 0: all of a
  /// case.
  virtual int64_t samples_per_step(int64_t batch) const = 0;

  virtual Preparation preparation() const = 0;
  virtual std::unique_ptr<SampleSource> sampler(const PreparedCase& one) const = 0;
  /// Throws UsageError for a case that cannot validate.
  virtual void check_validation(const PreparedCase&) const {}
  /// Class numbers of a whole prepared case, uint8, by a network in evaluation mode: a quick look for
  /// choosing the best epoch.
  virtual torch::Tensor predict(Network& network, const PreparedCase& one, torch::Device device) const = 0;

  /// Looks at every case, says what is wrong with them, and how they can be trained with.
  virtual PlanAnswer plan_experiment(const PlanRequest& request) const = 0;
  /// How the names of label files end, which predict_files calls after the cases of a data set: ".nii.gz".
  virtual const char* label_ending() const = 0;
  /// Images to label files, with models of this kind; one bad case does not stop the others. Throws Error
  /// when any failed.
  virtual void predict_files(const PredictRequest& request, const Listeners& listeners) const = 0;
};

/// A task by value.
class AnyTask {
 public:
  /// One with default settings. UsageError for a name that no task has.
  explicit AnyTask(const std::string& name);
  AnyTask(const AnyTask& other) : task_(other.task_->clone()) {}
  AnyTask(AnyTask&&) noexcept = default;
  AnyTask& operator=(AnyTask other) noexcept {
    task_.swap(other.task_);
    return *this;
  }
  ~AnyTask() = default;

  Task& operator*() { return *task_; }
  const Task& operator*() const { return *task_; }
  Task* operator->() { return task_.get(); }
  const Task* operator->() const { return task_.get(); }

 private:
  std::unique_ptr<Task> task_;
};

struct TaskEntry {
  const char* name;
  const char* summary;
  std::unique_ptr<Task> (*make)();
};

/// Every task, in the order of the documentation (task.cpp).
const std::vector<TaskEntry>& tasks();

/// The task that a model was trained for, with the plan of the model. UsageError when this program has no
/// such.
AnyTask task_of_model(const Json& plan);

}  // namespace mambaseg

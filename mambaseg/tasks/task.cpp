#include "mambaseg/tasks/task.h"

#include <algorithm>

#include "mambaseg/tasks/pictures/pictures_task.h"
#include "mambaseg/tasks/synthetic/synthetic_task.h"
#include "mambaseg/tasks/volumes/volumes_task.h"

namespace mambaseg {

const std::vector<TaskEntry>& tasks() {
  static const std::vector<TaskEntry> list{
      {"volumes", "patches of 3-D images", [] { return std::unique_ptr<Task>(new VolumesTask); }},
      {"synthetic", "images of heads, drawn from label maps while training",
       [] { return std::unique_ptr<Task>(new SyntheticTask); }},
      {"pictures", "2-D pictures and masks", [] { return std::unique_ptr<Task>(new PicturesTask); }},
  };
  return list;
}

AnyTask::AnyTask(const std::string& name) {
  std::vector<std::string> names;
  for (const TaskEntry& entry : tasks()) {
    if (name == entry.name) task_ = entry.make();
    names.emplace_back(entry.name);
  }
  if (task_) return;
  const std::string near = nearest_word(name, names.data(), names.data() + names.size());
  throw UsageError(
      concat("no task is called ", name, near.empty() ? "" : concat(", did you mean ", near, "?")));
}

AnyTask task_of_model(const Json& plan) {
  AnyTask task(plan.value("task", "volumes"));  // plans of volumes do not name theirs
  task->set_plan(plan);
  return task;
}

LossData loss_data(const LearnedLabels& labels, std::vector<double> class_voxels) {
  LossData data;
  data.class_voxels = std::move(class_voxels);
  if (labels.regions) data.regions = labels.classes_of;
  data.ignores = labels.ignores;
  return data;
}

}  // namespace mambaseg

#pragma once

#include "mambaseg/tasks/pictures/pictures_task.h"
#include "mambaseg/tasks/volumes/volumes_task.h"
#include "mambaseg/train/run.h"

namespace mambaseg {

/// The tables of the task of a recipe. Throws std::bad_cast when it has another task.
inline VolumesTask& volumes_of(RunSettings& settings) { return dynamic_cast<VolumesTask&>(*settings.task); }
inline const VolumesTask& volumes_of(const RunSettings& settings) {
  return dynamic_cast<const VolumesTask&>(*settings.task);
}
inline PicturesTask& pictures_of(RunSettings& settings) {
  return dynamic_cast<PicturesTask&>(*settings.task);
}

}  // namespace mambaseg

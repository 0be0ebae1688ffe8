#pragma once

#include "mambaseg/tasks/task.h"

namespace mambaseg {

/// `predict` for models of volumes: models that work on the whole image form the first stage, those that work
/// around labels the second; several of one stage are averaged (TwoStage).
void predict_volumes(const PredictRequest& request, const Listeners& listeners);

}  // namespace mambaseg

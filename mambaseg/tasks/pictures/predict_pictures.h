#pragma once

#include "mambaseg/tasks/task.h"

namespace mambaseg {

/// `predict` for models of pictures.
void predict_pictures(const PredictRequest& request, const Listeners& listeners);

}  // namespace mambaseg

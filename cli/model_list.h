#pragma once

#include "mambaseg/models/registry.h"

namespace mambaseg {

/// A model and its card.
Json json_of(const ModelInBox& model);

/// The models that are installed, a line each or as JSON.
void print_models(bool as_json);

}  // namespace mambaseg

#pragma once

#include <string>
#include <vector>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// Loss and validation Dice over the epochs as an SVG picture, from the "epoch" lines of a journal.
/// Validation appears where a line has it, with its moving average beside it when that is recorded.
std::string training_curves(const std::vector<Json>& epoch_lines);

/// The "epoch" lines of a journal file.
std::vector<Json> read_epoch_lines(const std::string& journal_path);

}  // namespace mambaseg

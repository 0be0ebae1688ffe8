#pragma once

#include <optional>
#include <string>

#include "mambaseg/report/case_scorer.h"

namespace mambaseg {

/// What the scores of a case depend on: `settings` (how it is scored, in words), and the names, sizes and
/// times of its files. Throws Error when one of them is missing.
std::string stamp_of(const CasePair& files, const std::string& settings);

/// Keeps the scores of a case in a file, to the bit. Throws Error naming it.
void write_scored_case(const std::string& path, const ScoredCase& one, const std::string& stamp);

/// What write_scored_case wrote; nothing where there is no such file or it has another stamp.
std::optional<ScoredCase> read_scored_case(const std::string& path, const std::string& stamp);

}  // namespace mambaseg

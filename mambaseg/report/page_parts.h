#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mambaseg/report/evaluation.h"
#include "mambaseg/report/summary.h"
#include "mambaseg/stats/describe.h"

namespace mambaseg {

/// Position of a metric in an evaluation.
std::optional<size_t> metric_position(const Evaluation& evaluation, const std::string& name);

/// The scores and distances of an evaluation, by position.
std::vector<size_t> ranked_metrics(const Evaluation& evaluation);

/// "0.640", "2.79", "27.9", "279"; "–" for what is not finite.
std::string number_cell(double value);
/// "0.873 <span>± 0.021</span>", both with the decimals of the mean; "–" for nothing.
std::string mean_cell(const Description& d);

/// "HD95<br>mm"
std::string metric_heading(const Metric& metric);

/// What the metrics mean and what happens to empty masks.
std::string definitions_section(const Evaluation& evaluation);

/// The command and version that made the page.
std::string origin_section(const Origin& origin);

}  // namespace mambaseg

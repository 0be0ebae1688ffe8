#pragma once

#include <string>
#include <vector>

#include "mambaseg/report/comparison.h"
#include "mambaseg/report/page.h"
#include "mambaseg/report/summary.h"

namespace mambaseg {

struct ReportOptions {
  std::string path;                ///< a folder; or a .json file, then only the summary is written
  std::string images;              ///< folder of the images for the pictures, may be empty
  std::string participants;        ///< table of participants, may be empty
  std::string group_by;            ///< its column
  std::vector<double> strata_cm3;  ///< cuts of the reference volume, may be empty
  size_t pictures = 3;             ///< worst cases, and as many best ones
};

/// Writes summary.json, cases.csv, stats/CASE.aseg.stats, pictures/CASE.png and report.html. Throws Error
/// naming what cannot be read or written.
void write_report(const Evaluation& evaluation, const EvaluationOptions& scored, const ReportOptions& options,
                  const Origin& origin, const Warn& warn = {});

/// The name of a method as that of its folder in a comparison.
std::string method_folder(const std::string& method);

/// Writes comparison.json, report.html and METHOD/summary.json and cases.csv for each method into a folder.
void write_comparison(const Comparison& comparison, const std::string& folder, const Origin& origin,
                      const ComparisonHead& head = {});

}  // namespace mambaseg

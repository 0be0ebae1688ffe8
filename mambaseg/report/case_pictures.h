#pragma once

#include <string>
#include <vector>

#include "mambaseg/report/evaluation.h"
#include "mambaseg/report/page.h"

namespace mambaseg {

/// The image of a case in a folder: CASE.* or CASE_0000.*; "" when there is none.
std::string image_of_case(const std::string& folder, const std::string& case_name);

/// Draws reference and prediction of the `count` worst and the `count` best cases in three planes over their
/// images from `images` (a folder; "" or a missing image: over black) and writes `folder`/CASE.png. Worst
/// first.
std::vector<CasePicture> write_case_pictures(const Evaluation& evaluation, const EvaluationOptions& options,
                                             const std::string& images, const std::string& folder,
                                             size_t count, const Warn& warn = {});

}  // namespace mambaseg

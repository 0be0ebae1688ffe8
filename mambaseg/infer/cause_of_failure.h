#pragma once

#include <string>

namespace mambaseg {

/// plain_cause, which also knows a full GPU: for CaseFailures of work that computes.
std::string cause_of_failure();

}  // namespace mambaseg

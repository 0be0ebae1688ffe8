#pragma once

#include "mambaseg/core/failure.h"

namespace mambaseg {

/// The program with the words of its command line: does what they say, prints results on stdout and one line
/// on stderr for an error, and returns the exit code: 0 done, 1 the run failed, 2 the command line or a
/// recipe makes no sense. `failure` says what the exception that is being handled means.
int run_program(int argc, char** argv, Failure (*failure)());

}  // namespace mambaseg

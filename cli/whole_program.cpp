#include "cli/program.h"
#include "mambaseg/session/failure.h"

int main(int argc, char** argv) { return mambaseg::run_program(argc, argv, mambaseg::current_failure); }

#pragma once

#include "mambaseg/core/workers.h"

namespace mambaseg {

/// From now on LibTorch's operations that the calling thread starts run on so many threads, with denormals
/// flushed: for a worker beside others, so that their teams do not multiply.
void compute_on_threads(int threads);

/// run_jobs for jobs that compute with LibTorch: each on its share of the threads.
void run_tensor_jobs(int64_t count, const Workers& workers, const Job& job, const JobBytes& bytes = {});

}  // namespace mambaseg

#include "mambaseg/ops/threads.h"

#include <omp.h>

#include <ATen/Context.h>
#include <ATen/Parallel.h>

namespace mambaseg {

void compute_on_threads(int threads) {
  at::get_num_threads();  // sets the thread up as the others, once; what follows would be undone otherwise
  omp_set_num_threads(threads);  // of this thread; at::set_num_threads would change those to come as well
  at::globalContext().setFlushDenormal(true);
}

void run_tensor_jobs(int64_t count, const Workers& workers, const Job& job, const JobBytes& bytes) {
  run_jobs(count, workers, job, bytes, compute_on_threads);
}

}  // namespace mambaseg

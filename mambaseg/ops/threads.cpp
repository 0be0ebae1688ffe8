#include "mambaseg/ops/threads.h"

#include <omp.h>

#include <ATen/Context.h>
#include <ATen/Parallel.h>

namespace mambaseg {

void compute_on_this_thread_alone() {
  at::get_num_threads();   // sets the thread up as the others, once; what follows would be undone otherwise
  omp_set_num_threads(1);  // of this thread; at::set_num_threads would change those to come as well
  at::globalContext().setFlushDenormal(true);
}

}  // namespace mambaseg

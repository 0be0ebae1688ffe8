#include "mambaseg/session/runtime.h"

#include <ATen/Parallel.h>
#include <torch/cuda.h>

#include <exception>
#include <system_error>
#include <thread>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/autocast.h"
#include "mambaseg/ops/block_cache.h"
#include "mambaseg/ops/device.h"
#include "mambaseg/ops/threads.h"

namespace mambaseg {
namespace {

torch::Device device_of_machine(const std::string& name) {
  return device_named(name, name == "cpu" ? 0 : static_cast<int64_t>(torch::cuda::device_count()));
}

/// Of the threads that compute beside the calling one.
void flush_denormals_beside(int threads) {
  at::parallel_for(0, threads, 1, [](int64_t, int64_t) { at::globalContext().setFlushDenormal(true); });
}

}  // namespace

Runtime::Runtime(const RuntimeSettings& settings)
    : device(device_of_machine(settings.device)),
      precision(precision_named(settings.precision, arithmetic_of(device))),
      threads(thread_count(settings.threads)) {
  if (settings.threads < 0) throw UsageError(concat("threads: expected 0 or more, got ", settings.threads));
}

void Runtime::run(const std::function<void()>& work) const {
  std::exception_ptr failure;
  const auto on_thread = [&] {
    try {
      compute_on_threads(threads);
      flush_denormals_beside(threads);
      work();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  try {
    std::thread(on_thread).join();
  } catch (const std::system_error& error) {
    throw Error(concat("no thread can be started: ", error.what()));
  }
  if (failure) std::rethrow_exception(failure);
}

torch::Device start_program(const std::string& device, int threads) {
  cache_tensor_blocks();
  const torch::Device chosen = device_of_machine(device);
  const int count = thread_count(threads);
  torch::set_num_threads(count);
  at::globalContext().setFlushDenormal(true);
  flush_denormals_beside(count);
  allow_tf32(false);
  return chosen;
}

}  // namespace mambaseg

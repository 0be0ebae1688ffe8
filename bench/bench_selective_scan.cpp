// Selective scan: checks against the double-precision specification, then times against a LibTorch loop over
// the steps in the same process; or, with --length, one sequence alone and the largest memory.

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <CLI/CLI.hpp>

#include "bench/measurement.h"
#include "mambaseg/core/memory.h"
#include "mambaseg/kernels/target.h"
#include "mambaseg/ops/block_cache.h"
#include "mambaseg/ops/selective_scan.h"
#include "mambaseg/scan/orders.h"

namespace {

using namespace mambaseg;
using torch::Tensor;

struct Case {
  std::string name;
  TokenGrid grid;
  int64_t channels, states, directions;
  bool bf16 = false;  ///< what comes per token
  int64_t length() const { return token_count(grid); }
  double updates() const { return 1.0 * length() * channels * states * directions; }
  /// What every call must read and write at least: all that comes per token, and the result in fp32; going
  /// back the gradient of the result besides, and gradients in fp32.
  double bytes(bool backward) const {
    const double once = 1.0 * length() * channels, per_direction = once + 2.0 * length() * states;
    const double inputs = once + per_direction * static_cast<double>(directions);
    const double read = inputs * (bf16 ? 2 : 4);
    return backward ? read + 4 * (once + inputs) : read + 4 * once;
  }
};

const std::vector<Case> kCases = {
    {"L 1728, D 1024, N 64", {12, 12, 12}, 1024, 64, 1},
    {"L 4096, D 384, N 16", {1, 64, 64}, 384, 16, 1},
    {"L 4096, D 384, N 16, bf16 inputs", {1, 64, 64}, 384, 16, 1, true},
    {"L 4096, D 384, N 8", {1, 64, 64}, 384, 8, 1},
    {"L 4096, D 384, N 1", {1, 64, 64}, 384, 1, 1},
    {"MedSegMamba block: 8 directions, L 1728, D 1024, N 64", {12, 12, 12}, 1024, 64, 8},
};

torch::Device device = torch::kCPU;  // of what is timed

/// `ours`: in the types that our operator gets; the loop gets all in `type`.
SelectiveScanInputs make_inputs(const Case& c, int64_t channels, torch::Dtype type, bool ours = true) {
  torch::manual_seed(1);
  const auto random = [&](torch::IntArrayRef sizes) { return torch::randn(sizes).to(type); };
  SelectiveScanInputs in;
  in.u = random({1, c.length(), channels});
  in.delta = random({1, c.length(), c.directions, channels});
  in.A = -torch::arange(1, c.states + 1, type).expand({c.directions, channels, c.states}).contiguous();
  in.B = random({1, c.length(), c.directions, 1, c.states});
  in.C = random({1, c.length(), c.directions, 1, c.states});
  in.D = torch::ones({c.directions, channels}, type);
  in.delta_bias = random({c.directions, channels}) - 3;  // steps of about 0.05, as Mamba starts with
  // The same numbers in every type, so that an error is the kernel's.
  for (Tensor* t : {&in.u, &in.delta, &in.B, &in.C}) {
    if (c.bf16) *t = t->to(torch::kBFloat16);
    if (c.bf16 && !ours) *t = t->to(type);
  }
  return in;
}

std::vector<Tensor*> tensors_of(SelectiveScanInputs& in) {
  return {&in.u, &in.delta, &in.A, &in.B, &in.C, &in.D, &in.delta_bias};
}

SelectiveScanInputs on_device(SelectiveScanInputs in) {
  for (Tensor* t : tensors_of(in)) *t = t->to(device);
  return in;
}

ScanTables tables_of(const Case& c, torch::Device of = torch::kCPU) {
  std::vector<ScanOrder> orders =
      c.directions == 8 ? snake_orders(c.grid, 0) : std::vector<ScanOrder>{raster_order(c.length())};
  return make_scan_tables(orders, of);
}

/// The first `steps` steps of the first direction, one after the other, with tensor operations.
Tensor loop(const SelectiveScanInputs& in, int64_t steps) {
  // Taken apart once: the gradient of a select inside the loop would be as large as the whole tensor.
  const auto tokens = [&](const Tensor& t) { return t.narrow(1, 0, steps).unbind(1); };
  const Tensor A = in.A[0], D = in.D[0];
  const auto u = tokens(in.u), B = tokens(in.B.select(2, 0)), C = tokens(in.C.select(2, 0));
  const auto dt = torch::softplus(in.delta.select(2, 0).narrow(1, 0, steps) + in.delta_bias[0]).unbind(1);
  Tensor x = torch::zeros({1, A.size(0), A.size(1)}, A.options());
  std::vector<Tensor> y;
  for (int64_t t = 0; t < steps; ++t) {
    const Tensor d = dt[t].unsqueeze(2);
    x = torch::exp(d * A) * x + d * u[t].unsqueeze(2) * B[t];
    y.push_back((x * C[t]).sum(2) + D * u[t]);
  }
  return torch::stack(y, 1);
}

/// Without, a second backward pass would add to the gradients of the first.
void forget_gradients(SelectiveScanInputs& in) {
  for (Tensor* t : tensors_of(in)) t->mutable_grad().reset();
}

void require_gradients(SelectiveScanInputs& in) {
  for (Tensor* t : tensors_of(in)) *t = t->detach().requires_grad_();
}

/// The largest error over the output (or the gradients), relative to the largest number of the tensor, on 32
/// channels.
double max_error(const Case& c, bool backward) {
  const ScanTables tables = tables_of(c), device_tables = tables_of(c, device);
  SelectiveScanInputs exact = make_inputs(c, 32, torch::kFloat), single = on_device(exact);
  for (Tensor* t : tensors_of(exact)) *t = t->to(torch::kDouble);
  require_gradients(single);
  require_gradients(exact);
  const auto error = [](const Tensor& found, const Tensor& expected) {
    return ((found.cpu() - expected).abs().max() / expected.abs().max()).item<double>();
  };
  const Tensor y = selective_scan(single, &device_tables), expected = selective_scan(exact, &tables);
  if (!backward) return error(y, expected);
  const Tensor weight = torch::randn(y.sizes()).to(y.scalar_type());
  y.backward(weight.to(device));
  expected.backward(weight.to(torch::kDouble));
  double worst = 0;
  for (size_t i = 0; i < tensors_of(single).size(); ++i) {
    worst = std::max(worst, error(tensors_of(single)[i]->grad(), tensors_of(exact)[i]->grad()));
  }
  return worst;
}

double time_forward(const Case& c, int runs) {
  const ScanTables tables = tables_of(c, device);
  const SelectiveScanInputs in = on_device(make_inputs(c, c.channels, torch::kFloat));
  const torch::NoGradGuard no_grad;
  return best_of(runs, [&] { return seconds(device, [&] { selective_scan(in, &tables); }); });
}

double time_backward(const Case& c, int runs) {
  const ScanTables tables = tables_of(c, device);
  SelectiveScanInputs in = on_device(make_inputs(c, c.channels, torch::kFloat));
  require_gradients(in);
  return best_of(runs, [&] {
    forget_gradients(in);
    const Tensor y = selective_scan(in, &tables);
    const Tensor weight = torch::ones_like(y);
    return seconds(device, [&] { y.backward(weight); });
  });
}

/// Seconds per step of the loop; of its backward pass alone when `backward`.
double time_loop(const Case& c, bool backward, int runs) {
  const int64_t steps =
      backward ? 128 : 256;  // every step costs the same; the backward pass keeps all of them
  SelectiveScanInputs in = on_device(make_inputs(c, c.channels, torch::kFloat, false));
  if (backward) {
    require_gradients(in);
    return best_of(runs,
                   [&] {
                     forget_gradients(in);
                     const Tensor y = loop(in, steps);
                     const Tensor weight = torch::ones_like(y);
                     return seconds(device, [&] { y.backward(weight); });
                   }) /
           steps;
  }
  const torch::NoGradGuard no_grad;
  return best_of(runs, [&] { return seconds(device, [&] { loop(in, steps); }); }) / steps;
}

/// GB read and written a second by a copy on the GPU: what GB/s below can be held against.
double copy_gb_per_s() {
  const Tensor from = torch::rand({int64_t{1} << 28}, device), to = torch::empty_like(from);
  const double best_s = best_of(10, [&] { return seconds(device, [&] { to.copy_(from); }); });
  return 2e-9 * static_cast<double>(from.nbytes()) / best_s;
}

/// Adds what `c` takes beside no reference. Errors are those of its beginning, for which a double-precision
/// copy of all would be too large.
void measure_alone(const Case& c, const MeasurementOptions& options, MeasurementTable& table) {
  Case beginning = c;
  beginning.grid = {1, 1, std::min<int64_t>(c.length(), 1 << 15)};
  for (const bool backward : {false, true}) {
    const std::string name = c.name + (backward ? ", backward" : ", forward");
    if (!options.wants(name)) continue;
    const double error = max_error(beginning, backward);
    for (const int threads : options.threads) {
      at::set_num_threads(threads);
      forget_peak_memory();
      const double ours_s = backward ? time_backward(c, 3) : time_forward(c, 3);
      const double bound = backward ? 1e-5 : 2e-6, gib = static_cast<double>(peak_memory_bytes()) / (1 << 30);
      table.add({name, "s", ours_s, 0, error, threads, best_target().name}, bound);
      table.add({name + ", largest memory", "GiB", gib, 0, 0, threads, best_target().name}, bound);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  int64_t length = 0, channels = 64, states = 16;
  const MeasurementOptions options =
      read_options(argc, argv, "Measures the selective scan against a LibTorch loop", [&](CLI::App& app) {
        app.add_option("--length", length, "Tokens of one sequence, alone, in place of the listed cases");
        app.add_option("--channels", channels, "of --length")->capture_default_str();
        app.add_option("--states", states, "of --length")->capture_default_str();
      });
  device = options.device;
  cache_tensor_blocks();  // as the programs do
  if (device.is_cuda() && !options.json) std::printf("a copy of 1 GiB: %.0f GB/s\n", copy_gb_per_s());
  MeasurementTable table(options.json);
  if (length > 0) {
    const auto text = [](int64_t number) { return std::to_string(number); };
    measure_alone({"L " + text(length) + ", D " + text(channels) + ", N " + text(states),
                   {1, 1, length},
                   channels,
                   states,
                   1},
                  options, table);
    return table.finish();
  }
  for (const Case& c : kCases) {
    for (const bool backward : {false, true}) {
      const std::string name = c.name + (backward ? ", backward" : ", forward");
      if (!options.wants(name)) continue;
      const double error = max_error(c, backward);
      for (const int threads : options.threads) {
        at::set_num_threads(threads);
        const double ours_s = backward ? time_backward(c, 10) : time_forward(c, 10);
        const double loop_s = time_loop(c, backward, 3) * static_cast<double>(c.length() * c.directions);
        // y and its kin are rounded to the type of u
        const double bound = c.bf16 ? 4e-3 : backward ? 1e-5 : 2e-6;
        const std::string target = device.is_cuda() ? "CUDA" : best_target().name;
        const auto add = [&](const char* unit, double amount) {
          table.add({name, unit, amount / ours_s / 1e9, amount / loop_s / 1e9, error, threads, target},
                    bound);
        };
        add("G updates/s", c.updates());
        if (device.is_cuda()) add("GB/s", c.bytes(backward));
      }
    }
  }
  return table.finish();
}

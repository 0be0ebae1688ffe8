// Selective scan: checks against the double-precision specification, then times against a LibTorch loop over
// the steps in the same process. Prints a table, or with --json an array of objects.

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "mambaseg/kernels/target.h"
#include "mambaseg/ops/selective_scan.h"
#include "mambaseg/scan/orders.h"

namespace {

using namespace mambaseg;
using torch::Tensor;

struct Case {
  const char* name;
  TokenGrid grid;
  int64_t channels, states, directions;
  int64_t length() const { return token_count(grid); }
  double updates() const { return 1.0 * length() * channels * states * directions; }
};

constexpr Case kCases[] = {
    {"L 1728, D 1024, N 64", {12, 12, 12}, 1024, 64, 1},
    {"L 4096, D 384, N 16", {1, 64, 64}, 384, 16, 1},
    {"MedSegMamba block: 8 directions, L 1728, D 1024, N 64", {12, 12, 12}, 1024, 64, 8},
};

SelectiveScanInputs make_inputs(const Case& c, int64_t channels, torch::Dtype type) {
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
  return in;
}

std::vector<Tensor*> tensors_of(SelectiveScanInputs& in) {
  return {&in.u, &in.delta, &in.A, &in.B, &in.C, &in.D, &in.delta_bias};
}

ScanTables tables_of(const Case& c) {
  std::vector<ScanOrder> orders =
      c.directions == 8 ? snake_orders(c.grid, 0) : std::vector<ScanOrder>{raster_order(c.length())};
  return make_scan_tables(orders);
}

/// The first `steps` steps of the first direction, one after the other, with tensor operations.
Tensor loop(const SelectiveScanInputs& in, int64_t steps) {
  const Tensor dt = torch::softplus(in.delta.select(2, 0) + in.delta_bias[0]);
  Tensor x = torch::zeros({1, in.A.size(1), in.A.size(2)});
  std::vector<Tensor> y;
  for (int64_t t = 0; t < steps; ++t) {
    const Tensor d = dt.select(1, t).unsqueeze(2);
    const Tensor u = in.u.select(1, t);
    x = torch::exp(d * in.A[0]) * x + d * u.unsqueeze(2) * in.B.select(1, t).select(1, 0);
    y.push_back((x * in.C.select(1, t).select(1, 0)).sum(2) + in.D[0] * u);
  }
  return torch::stack(y, 1);
}

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double best_of(int runs, const std::function<double()>& once) {
  double best = once();
  for (int i = 1; i < runs; ++i) best = std::min(best, once());
  return best;
}

void require_gradients(SelectiveScanInputs& in) {
  for (Tensor* t : tensors_of(in)) *t = t->detach().requires_grad_();
}

/// The largest error over the output (or the gradients), relative to the largest number of the tensor, on 32
/// channels.
double max_error(const Case& c, bool backward) {
  const ScanTables tables = tables_of(c);
  SelectiveScanInputs single = make_inputs(c, 32, torch::kFloat), exact = single;
  for (Tensor* t : tensors_of(exact)) *t = t->to(torch::kDouble);
  require_gradients(single);
  require_gradients(exact);
  const auto error = [](const Tensor& found, const Tensor& expected) {
    return ((found - expected).abs().max() / expected.abs().max()).item<double>();
  };
  const Tensor y = selective_scan(single, &tables), expected = selective_scan(exact, &tables);
  if (!backward) return error(y, expected);
  const Tensor weight = torch::randn(y.sizes());
  y.backward(weight);
  expected.backward(weight.to(torch::kDouble));
  double worst = 0;
  for (size_t i = 0; i < tensors_of(single).size(); ++i) {
    worst = std::max(worst, error(tensors_of(single)[i]->grad(), tensors_of(exact)[i]->grad()));
  }
  return worst;
}

double time_forward(const Case& c, int runs) {
  const ScanTables tables = tables_of(c);
  const SelectiveScanInputs in = make_inputs(c, c.channels, torch::kFloat);
  const torch::NoGradGuard no_grad;
  return best_of(runs, [&] { return seconds([&] { selective_scan(in, &tables); }); });
}

double time_backward(const Case& c, int runs) {
  const ScanTables tables = tables_of(c);
  SelectiveScanInputs in = make_inputs(c, c.channels, torch::kFloat);
  require_gradients(in);
  return best_of(runs, [&] {
    const Tensor y = selective_scan(in, &tables);
    const Tensor weight = torch::ones_like(y);
    return seconds([&] { y.backward(weight); });
  });
}

/// Seconds per step of the loop; of its backward pass alone when `backward`.
double time_loop(const Case& c, bool backward, int runs) {
  const int64_t steps =
      backward ? 128 : 256;  // every step costs the same; the backward pass keeps all of them
  SelectiveScanInputs in = make_inputs(c, c.channels, torch::kFloat);
  if (backward) {
    require_gradients(in);
    return best_of(runs,
                   [&] {
                     const Tensor y = loop(in, steps);
                     const Tensor weight = torch::ones_like(y);
                     return seconds([&] { y.backward(weight); });
                   }) /
           steps;
  }
  const torch::NoGradGuard no_grad;
  return best_of(runs, [&] { return seconds([&] { loop(in, steps); }); }) / steps;
}

}  // namespace

int main(int argc, char** argv) {
  const bool json = argc > 1 && std::string(argv[1]) == "--json";
  nlohmann::json rows = nlohmann::json::array();
  bool correct = true;
  for (const Case& c : kCases) {
    for (const bool backward : {false, true}) {
      const double error = max_error(c, backward);
      correct = correct && error < (backward ? 1e-5 : 2e-6);
      for (const int threads : {1, 2}) {
        at::set_num_threads(threads);
        const double ours = backward ? time_backward(c, 4) : time_forward(c, 6);
        const double loop_s = time_loop(c, backward, 3) * c.length() * c.directions;
        const nlohmann::json row = {{"case", std::string(c.name) + (backward ? ", backward" : ", forward")},
                                    {"unit", "G state updates/s"},
                                    {"ours", c.updates() / ours / 1e9},
                                    {"reference", c.updates() / loop_s / 1e9},
                                    {"ratio", loop_s / ours},
                                    {"max_error", error},
                                    {"threads", threads},
                                    {"target", best_target().name}};
        if (!json) {
          std::printf(
              "%-66s %d thread(s) %7.3f G updates/s (%8.2f ms), loop %7.3f, ratio %6.1f, error %.1e\n",
              row["case"].get<std::string>().c_str(), threads, row["ours"].get<double>(), ours * 1e3,
              row["reference"].get<double>(), row["ratio"].get<double>(), error);
          std::fflush(stdout);
        }
        rows.push_back(row);
      }
    }
  }
  if (json) std::printf("%s\n", rows.dump(1).c_str());
  if (!correct) std::fprintf(stderr, "bench_selective_scan: an error is above its bound\n");
  return correct ? 0 : 1;
}

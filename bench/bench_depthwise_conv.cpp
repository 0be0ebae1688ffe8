// Depthwise convolution: checks against LibTorch's grouped convolution in double, then times against the same
// in fp32, channels first, in the same process.

#include <ATen/Parallel.h>
#include <torch/types.h>

#include "bench/measurement.h"
#include "mambaseg/kernels/target.h"
#include "mambaseg/ops/block_cache.h"
#include "mambaseg/ops/depthwise_conv.h"

namespace {

using namespace mambaseg;
using torch::Tensor;

struct Case {
  std::string name;
  int64_t batch, channels;
  std::vector<int64_t> spatial;
  int64_t taps;
  bool channels_last, bf16 = false;

  double macs() const {
    double count = 1.0 * batch * channels;
    for (const int64_t extent : spatial) count *= extent * taps;
    return count;
  }
  /// What every call must read and write at least: x and y; going back their gradients and x.
  double bytes(bool backward) const {
    double count = 1.0 * batch * channels * (bf16 ? 2 : 4);
    for (const int64_t extent : spatial) count *= extent;
    return count * (backward ? 3 : 2);
  }
  std::vector<int64_t> padding() const { return std::vector<int64_t>(spatial.size(), taps / 2); }
};

const std::vector<Case> kCases = {
    {"7^3 on 48^3 x 64", 1, 64, {48, 48, 48}, 7, false},
    {"5^3 on 48^3 x 64", 1, 64, {48, 48, 48}, 5, false},
    {"3^3 on 48^3 x 64", 1, 64, {48, 48, 48}, 3, false},
    {"7^3 on 48^3 x 64, channels last", 1, 64, {48, 48, 48}, 7, true},
    {"3^3 on 48^3 x 64, channels last", 1, 64, {48, 48, 48}, 3, true},
    {"7^3 on 48^3 x 64, bf16", 1, 64, {48, 48, 48}, 7, false, true},
    {"9^3 on 24^3 x 64", 1, 64, {24, 24, 24}, 9, false},
    {"3^3 on 12^3 x 1024, channels last", 1, 1024, {12, 12, 12}, 3, true},
    {"3^2 on 64^2 x 192, batch 4, channels last", 4, 192, {64, 64}, 3, true},
    {"7^2 on 64^2 x 192, batch 4", 4, 192, {64, 64}, 7, false},
    {"4 on 32768 x 128, channels last", 1, 128, {32768}, 4, true},
};

torch::Device device = torch::kCPU;  // of what is timed

struct Tensors {
  Tensor x, weight, bias;  ///< x channels first
};

Tensors make_tensors(const Case& c, int64_t channels) {
  torch::manual_seed(1);
  std::vector<int64_t> sizes = {c.batch, channels}, taps = {channels, 1};
  for (const int64_t extent : c.spatial) {
    sizes.push_back(extent);
    taps.push_back(c.taps);
  }
  return {torch::randn(sizes).requires_grad_(), torch::randn(taps).requires_grad_(),
          torch::randn({channels}).requires_grad_()};
}

Tensors on_device(const Tensors& t) {
  const auto moved = [](const Tensor& tensor) { return tensor.detach().to(device).requires_grad_(); };
  return {moved(t.x), moved(t.weight), moved(t.bias)};
}

/// The same with x in the layout of the case; that permutation is not timed, for a network keeps its tensors
/// so.
Tensors in_layout(const Case& c, const Tensors& t) {
  Tensor x = c.channels_last ? t.x.detach().movedim(1, -1).contiguous() : t.x.detach().clone();
  if (c.bf16) x = x.to(torch::kBFloat16);
  return {x.requires_grad_(), t.weight.detach().clone().requires_grad_(),
          t.bias.detach().clone().requires_grad_()};
}

Tensor ours(const Case& c, const Tensors& t) {
  return depthwise_conv(t.x, t.weight, t.bias, {c.padding(), false, c.channels_last});
}

Tensor libtorch(const Case& c, const Tensors& t) {
  const std::vector<int64_t> ones(c.spatial.size(), 1);
  return torch::convolution(t.x, t.weight, t.bias, ones, c.padding(), ones, false, {0}, t.x.size(1));
}

/// The largest error relative to the largest number, over the output or the gradients, on 8 channels.
double max_error(const Case& c, bool backward) {
  const Tensors first = make_tensors(c, 8), single = on_device(in_layout(c, first));
  Tensors exact{first.x.detach().to(torch::kDouble).requires_grad_(),
                first.weight.detach().to(torch::kDouble).requires_grad_(),
                first.bias.detach().to(torch::kDouble).requires_grad_()};
  const auto error = [](const Tensor& found, const Tensor& expected) {
    return ((found.cpu() - expected).abs().max() / expected.abs().max()).item<double>();
  };
  const auto first_layout = [&](const Tensor& t) { return c.channels_last ? t.movedim(-1, 1) : t; };
  const Tensor y = ours(c, single), expected = libtorch(c, exact);
  if (!backward) return error(first_layout(y), expected);
  const Tensor weight = torch::randn(expected.sizes()).to(y.scalar_type());
  first_layout(y).backward(weight.to(device));
  expected.backward(weight.to(torch::kDouble));
  return std::max({error(first_layout(single.x.grad()), exact.x.grad()),
                   error(single.weight.grad(), exact.weight.grad()),
                   error(single.bias.grad(), exact.bias.grad())});
}

using Convolve = Tensor (*)(const Case&, const Tensors&);

double time_of(const Case& c, const Tensors& t, Convolve convolve, bool backward, int runs) {
  return best_of(runs, [&] {
    if (!backward) {
      const torch::NoGradGuard no_grad;
      return seconds(device, [&] { convolve(c, t); });
    }
    for (const Tensor* leaf : {&t.x, &t.weight, &t.bias})
      leaf->mutable_grad().reset();  // else it is added to
    const Tensor y = convolve(c, t);
    const Tensor weight = torch::ones_like(y);
    return seconds(device, [&] { y.backward(weight); });
  });
}

}  // namespace

int main(int argc, char** argv) {
  const MeasurementOptions options =
      read_options(argc, argv, "Measures the depthwise convolution against LibTorch's grouped convolution");
  device = options.device;
  cache_tensor_blocks();  // as the programs do
  MeasurementTable table(options.json);
  for (const Case& c : kCases) {
    for (const bool backward : {false, true}) {
      const std::string name = c.name + (backward ? ", backward" : ", forward");
      if (!options.wants(name)) continue;
      const Tensors first = on_device(make_tensors(c, c.channels)), layout = in_layout(c, first);
      const double error = max_error(c, backward), gmacs = c.macs() * (backward ? 2 : 1) / 1e9;
      for (const int threads : options.threads) {
        at::set_num_threads(threads);
        const double ours_s = time_of(c, layout, ours, backward, 10);
        // In 3-D a call takes seconds.
        const double libtorch_s = time_of(c, first, libtorch, backward, c.spatial.size() == 3 ? 2 : 10);
        // y and the gradient of x are rounded to the type of x
        const double bound = c.bf16 ? 4e-3 : 1e-5;
        const std::string target = device.is_cuda() ? "CUDA" : best_target().name;
        const auto add = [&](const char* unit, double amount) {
          table.add({name, unit, amount / ours_s, amount / libtorch_s, error, threads, target}, bound);
        };
        add("GMAC/s", gmacs);
        if (device.is_cuda()) add("GB/s", c.bytes(backward) / 1e9);
      }
    }
  }
  return table.finish();
}

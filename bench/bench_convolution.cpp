// Dense convolutions of the networks' shapes: checks against LibTorch in double, then times a prediction's
// pass, by turns with LibTorch's own convolution in its better layout (contiguous or channels-last), in the
// same type.

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "bench/measurement.h"
#include "mambaseg/kernels/target.h"
#include "mambaseg/ops/dense.h"

namespace {

using namespace mambaseg;
using torch::Tensor;

struct Case {
  const char* name;
  std::vector<int64_t> size;  ///< of x: batch, channels, space
  int64_t out, kernel, stride = 1;
};

const Case kCases[] = {
    {"1 to 32 channels, 3^3 on 96^3", {1, 1, 96, 96, 96}, 32, 3},
    {"32 to 32, 3^3 on 96^3", {1, 32, 96, 96, 96}, 32, 3},
    {"64 to 64, 3^3 on 48^3", {1, 64, 48, 48, 48}, 64, 3},
    {"128 to 128, 3^3 on 24^3", {1, 128, 24, 24, 24}, 128, 3},
    {"320 to 320, 3^3 on 8^3", {2, 320, 8, 8, 8}, 320, 3},
    {"32 to 64, 3^3 on 96^3, stride 2", {1, 32, 96, 96, 96}, 64, 3, 2},
    {"64 to 14, 1^3 on 96^3", {1, 64, 96, 96, 96}, 14, 1},
    {"3 to 64, 3^2 on 256^2, batch 2", {2, 3, 256, 256}, 64, 3},
    {"64 to 64, 3^2 on 256^2, batch 2", {2, 64, 256, 256}, 64, 3},
    {"256 to 256, 3^2 on 64^2, batch 2", {2, 256, 64, 64}, 256, 3},
    {"1024 to 1024, 3^2 on 16^2, batch 2", {2, 1024, 16, 16}, 1024, 3},
    {"3 to 96, 4^2 on 256^2, stride 4, batch 4", {4, 3, 256, 256}, 96, 4, 4},
};

torch::MemoryFormat channels_last_of(const Tensor& x) {
  return x.dim() == 5 ? torch::MemoryFormat::ChannelsLast3d : torch::MemoryFormat::ChannelsLast;
}

void measure(const Case& c, torch::ScalarType type, int threads, MeasurementTable& table) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(1);
  const size_t dims = c.size.size() - 2;
  std::vector<int64_t> shape{c.out, c.size[1]};
  shape.insert(shape.end(), dims, c.kernel);
  const Tensor given = torch::randn(c.size).to(type);
  const DenseWeights weights{torch::randn(shape) / 10, torch::randn({c.out})};
  const int64_t padding = c.kernel % 2 == 1 ? c.kernel / 2 : 0;
  const ConvolutionOptions options{std::vector<int64_t>(dims, c.stride), std::vector<int64_t>(dims, padding),
                                   std::vector<int64_t>(dims, 1)};
  const auto plain = [&](const Tensor& x, torch::ScalarType in) {
    return at::convolution(x, weights.weight.to(in), weights.bias.to(in), options.stride, options.padding,
                           options.dilation, false, std::vector<int64_t>(dims, 0), 1);
  };
  const Tensor last = given.contiguous(channels_last_of(given));
  const Tensor found = convolution(last, weights, options);
  const Tensor expected = plain(given.slice(0, 0, 1).to(torch::kDouble), torch::kDouble);
  const double error = ((found.slice(0, 0, 1) - expected).abs().max() / expected.abs().max()).item<double>();
  double best = 1e9, reference = 1e9;
  for (int run = 0; run < 10; ++run) {
    best = std::min(best, seconds([&] { convolution(last, weights, options); }));
    reference = std::min(reference, seconds([&] { plain(given, type); }));
    reference = std::min(reference, seconds([&] { plain(last, type); }));
  }
  const double products =
      1e-9 * static_cast<double>(found.numel() * c.size[1]) * std::pow(c.kernel, static_cast<double>(dims));
  const bool bf16 = type == torch::kBFloat16;
  table.add({std::string(c.name) + (bf16 ? ", bf16" : ", fp32"), "G/s", products / best, products / reference,
             error, threads, best_target().name},
            bf16 ? 0x1p-6 : 1e-5);
}

}  // namespace

int main(int argc, char** argv) {
  const MeasurementOptions options = read_options(argc, argv, "Times dense convolutions beside LibTorch's.");
  MeasurementTable table(options.json);
  for (const int threads : options.threads) {
    torch::set_num_threads(threads);
    for (const Case& c : kCases)
      for (const torch::ScalarType type : {torch::kFloat, torch::kBFloat16})
        if (options.wants(c.name) && (type == torch::kFloat || has_bf16_arithmetic()))
          measure(c, type, threads, table);
  }
  return table.finish();
}

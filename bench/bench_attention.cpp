// Attention: checks against the definition in double, then times a prediction's and a training step's passes
// in fp32 and bf16 against LibTorch's operations in fp32 in the same process, by turns. Shapes of the
// networks at their papers' sizes.

#include <ATen/Parallel.h>
#include <torch/autograd.h>

#include <algorithm>

#include "bench/measurement.h"
#include "mambaseg/kernels/target.h"
#include "mambaseg/ops/attention.h"
#include "mambaseg/ops/plain_libtorch.h"

namespace {

using namespace mambaseg;
using torch::Tensor;

struct Case {
  const char* name;
  int64_t items, heads, tokens, size;
  bool windows;  ///< with a bias of pairs and two regions
};

constexpr Case kCases[] = {
    {"swin_unetr: 343 windows, 3 heads of 16, 343 tokens", 343, 3, 343, 16, true},
    {"swin_unet: 64 windows, 3 heads of 32, 49 tokens", 64, 3, 49, 32, true},
    {"swt2net: 16 windows, 12 heads of 32, 49 tokens", 16, 12, 49, 32, true},
    {"unetr: 12 heads of 64, 216 tokens", 1, 12, 216, 64, false},
    {"unetr: 12 heads of 64, 512 tokens", 1, 12, 512, 64, false},
    {"trans_unet: 12 heads of 64, 256 tokens", 1, 12, 256, 64, false},
    {"tabsurfer: 16 heads of 64, 1024 tokens", 1, 16, 1024, 64, false},
};

struct Operands {
  std::vector<Tensor> all;  ///< q, k, v and, of windows, what is added to the scores
  AttentionBias bias;
  Tensor dy;

  Operands(const Case& c, torch::ScalarType type) {
    torch::manual_seed(1);
    // As a layer gives them: of a token side by side.
    const Tensor qkv = torch::randn({c.items, c.tokens, 3, c.heads, c.size}).to(type);
    for (const Tensor& one : qkv.unbind(2)) all.push_back(one.transpose(1, 2));
    if (c.windows) {
      all.push_back(torch::randn({c.heads, c.tokens, c.tokens}).to(type));
      bias.regions = torch::randint(0, 2, {c.items, c.tokens}, torch::kInt);
    }
    for (Tensor& t : all) t = t.detach().requires_grad_(true);
    if (c.windows) bias.of_pairs = all[3];
    dy = torch::randn({c.items, c.tokens, c.heads * c.size}).to(type);
  }
  Tensor forward() const { return attention(all[0], all[1], all[2], bias); }
  void predict() const {
    const torch::NoGradGuard no_grad;
    forward();
  }
  std::vector<Tensor> train() const {
    const Tensor y = forward();
    std::vector<Tensor> results = torch::autograd::grad({y}, all, {dy});
    results.push_back(y.detach());
    return results;
  }
};

double error_of(const Case& c, torch::ScalarType type) {
  const std::vector<Tensor> found = Operands(c, type).train(), expected = Operands(c, torch::kDouble).train();
  double worst = 0;
  for (size_t i = 0; i < found.size(); ++i)
    worst = std::max(worst, ((found[i] - expected[i]).abs().max() / expected[i].abs().max()).item<double>());
  return worst;
}

void measure(const Case& c, torch::ScalarType type, int threads, MeasurementTable& table) {
  Case few = c;
  few.items = std::min<int64_t>(c.items, 2);
  const bool bf16 = type == torch::kBFloat16;
  const double error = error_of(few, type);
  const Operands ours(c, type), plain(c, torch::kFloat);
  const double scores = 1e-9 * static_cast<double>(c.items * c.heads * c.tokens * c.tokens);
  for (const bool trains : {false, true}) {
    const auto once = [&](const Operands& o) {
      return seconds([&] { trains ? static_cast<void>(o.train()) : o.predict(); });
    };
    double best = 1e9, reference = 1e9;
    once(ours);
    for (int run = 0; run < (c.items > 100 ? 8 : 25); ++run) {
      best = std::min(best, once(ours));
      const PlainLibTorchGuard guard;
      reference = std::min(reference, once(plain));
    }
    table.add({std::string(c.name) + (bf16 ? ", bf16" : ", fp32") + (trains ? ", training" : ", prediction"),
               "G scores/s", scores / best, scores / reference, error, threads, best_target().name},
              bf16 ? 0x1p-5 : 1e-5);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const MeasurementOptions options =
      read_options(argc, argv, "Times attention beside LibTorch's operations.");
  MeasurementTable table(options.json);
  for (const int threads : options.threads) {
    torch::set_num_threads(threads);
    for (const Case& c : kCases)
      for (const torch::ScalarType type : {torch::kFloat, torch::kBFloat16})
        if (options.wants(c.name)) measure(c, type, threads, table);
  }
  return table.finish();
}

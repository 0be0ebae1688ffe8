// The CUDA path of the selective scan, operator and kernels, on the CPU by emulation.

#include <gtest/gtest.h>

#include "mambaseg/ops/selective_scan_operands.h"
#include "tests/cuda_emulation/emulation.h"

namespace mambaseg {
namespace {

using emulation::Turns;
using torch::Tensor;

struct Sizes {
  int64_t batch, length, directions, channels, groups, states;
};

struct Options {
  bool shared_u = true, skip = true, gate = true, bias = true, softplus = true;
};

SelectiveScanInputs make_inputs(const Sizes& s, const Options& o) {
  torch::manual_seed(1);
  const auto random = [](torch::IntArrayRef sizes) { return torch::randn(sizes, torch::kFloat); };
  SelectiveScanInputs in;
  in.u = o.shared_u ? random({s.batch, s.length, s.channels})
                    : random({s.batch, s.length, s.directions, s.channels});
  in.delta = random({s.batch, s.length, s.directions, s.channels});
  if (!o.softplus) in.delta = in.delta.abs() * 0.3;  // a negative step makes the state grow
  in.A = -torch::exp(random({s.directions, s.channels, s.states}) * 0.5);
  // Columns of a wider tensor, as the split of a projection gives them.
  const Tensor wide = random({s.batch, s.length, s.directions, s.groups, 2 * s.states + 3});
  in.B = s.groups == 1 ? wide.narrow(4, 1, s.states) : wide.narrow(4, 1, s.states).contiguous();
  in.C = s.groups == 1 ? wide.narrow(4, s.states + 2, s.states)
                       : wide.narrow(4, s.states + 2, s.states).contiguous();
  if (o.skip) in.D = random({s.directions, s.channels});
  if (o.gate) in.z = random({s.batch, s.length, s.channels});
  if (o.bias) in.delta_bias = random({s.directions, s.channels}) * 0.5;
  if (o.bias && !o.softplus) in.delta_bias = in.delta_bias.abs();
  in.delta_softplus = o.softplus;
  return in;
}

std::vector<Tensor*> tensors_of(SelectiveScanInputs& in) {
  std::vector<Tensor*> all;
  for (Tensor* t : {&in.u, &in.delta, &in.A, &in.B, &in.C, &in.D, &in.z, &in.delta_bias})
    if (t->defined()) all.push_back(t);
  return all;
}

/// Raster, backwards, every other token, that backwards, ...
ScanTables make_tables(const Sizes& s) {
  std::vector<ScanOrder> orders;
  for (int64_t k = 0; k < s.directions; ++k) {
    const int64_t stride = 1 + k / 2;
    ScanOrder order;
    for (int64_t first = 0; first < stride; ++first)
      for (int64_t p = first; p < s.length; p += stride) order.push_back(static_cast<int32_t>(p));
    if (k % 2 == 1) std::reverse(order.begin(), order.end());
    orders.push_back(order);
  }
  return make_scan_tables(orders);
}

/// y, last state and the gradients of the inputs.
std::vector<Tensor> all_of(const ScanImplementation& by, SelectiveScanInputs in, const ScanTables& tables) {
  for (Tensor* t : tensors_of(in)) *t = t->detach().requires_grad_();
  Tensor state;
  const Tensor y = selective_scan_by(by, in, &tables, &state);
  const Tensor weight = torch::cos(torch::arange(y.numel(), torch::kDouble)).view(y.sizes());
  y.backward(weight.to(torch::kBFloat16).to(y.scalar_type()));
  std::vector<Tensor> all{y.detach(), state};
  for (Tensor* t : tensors_of(in)) all.push_back(t->grad());
  return all;
}

const ScanImplementation &kCuda = kScanImplementations[0], &kCpu = kScanImplementations[1];

double relative_error(const Tensor& value, const Tensor& expected) {
  return (value.to(torch::kDouble) - expected).abs().max().item<double>() /
         std::max(expected.abs().max().item<double>(), 1e-30);
}

/// Against the specification in double, for the same numbers.
void expect_specification(const Sizes& s, const Options& o, torch::ScalarType type = torch::kFloat) {
  SelectiveScanInputs in = make_inputs(s, o);
  for (Tensor* t : {&in.u, &in.delta, &in.B, &in.C, &in.z})
    if (t->defined()) *t = t->to(type);
  SelectiveScanInputs exact = in;
  for (Tensor* t : tensors_of(exact)) *t = t->to(torch::kDouble);
  const ScanTables tables = make_tables(s);
  const std::vector<Tensor> found = all_of(kCuda, in, tables), expected = all_of(kCpu, exact, tables);
  for (size_t i = 0; i < found.size(); ++i) {
    const double rounding = found[i].scalar_type() == torch::kBFloat16 ? 4e-3 : i < 2 ? 2e-6 : 5e-6;
    EXPECT_LT(relative_error(found[i], expected[i]), rounding)
        << i << ": N " << s.states << " L " << s.length << " K " << s.directions << " C " << s.channels;
  }
}

TEST(CudaScan, GivesTheSpecificationForEveryNumberOfStates) {
  for (const int64_t states : {1, 2, 3, 8, 16, 64})  // chunks of 64: two and a part of a third
    expect_specification({1, 139, 2, 70, 1, states}, {});
  expect_specification({1, 70, 1, 5, 1, 100}, {});
  expect_specification({1, 70, 1, 5, 1, 256}, {});
}

TEST(CudaScan, GivesTheSpecificationForEveryOption) {
  for (const int bits : {0, 1, 2, 4, 8, 16, 30, 31}) {
    const Options o{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0, (bits & 16) != 0};
    expect_specification({2, 67, 2, 6, 2, 5}, o);
    expect_specification({2, 7, 1, 6, 2, 5}, o, torch::kBFloat16);
  }
}

TEST(CudaScan, GivesTheSpecificationForEveryLength) {
  for (const int64_t length : {1, 7, 8, 9, 63, 64, 65, 128})
    expect_specification({1, length, 2, 3, 1, 4}, {});
}

TEST(CudaScan, GivesTheSpecificationForManyDirections) {
  expect_specification({2, 70, 8, 9, 1, 16}, {});
  expect_specification({1, 20, 11, 9, 3, 2}, {});
}

TEST(CudaScan, TakesTheDirectionsInGroupsWhereScratchMemoryWantsIt) {
  EXPECT_EQ(scan_direction_groups(1, 2 * kMostScanScratch), 1);
  EXPECT_EQ(scan_direction_groups(8, kMostScanScratch / 8), 1);
  EXPECT_EQ(scan_direction_groups(8, kMostScanScratch / 7), 2);
  EXPECT_EQ(scan_direction_groups(8, kMostScanScratch / 3), 3);
  EXPECT_EQ(scan_direction_groups(4, 2 * kMostScanScratch), 4);
  EXPECT_EQ(scan_direction_groups(kMostCudaDirections + 1, 1), 2);
  SelectiveScanCuda<float> scan;  // whole chunks and tiles: the formula of the header
  const int64_t L = 128, C = 192, N = 16;
  scan.batch = 3;
  scan.length = L;
  scan.channels = C;
  scan.states = N;
  EXPECT_EQ(selective_scan_cuda_scratch(scan), 3 * (L * N * 4 * C / 64 + 2 * L * C / 64));
  scan.directions = 5;
  EXPECT_EQ(selective_scan_cuda_scratch(scan), 15 * (L * N * 4 * C / 64 + 2 * L * C / 64 + L * C));
}

/// The sum over directions side by side is that of one direction after the other.
TEST(CudaScan, AGroupOfDirectionsGivesTheBitsOfItsDirectionsOneAfterTheOther) {
  const Sizes s{2, 70, 3, 9, 1, 16};
  Options o;
  o.gate = false;  // a gate comes behind the sum
  const SelectiveScanInputs in = make_inputs(s, o);
  const ScanTables tables = make_tables(s);
  const std::vector<Tensor> together = all_of(kCuda, in, tables);
  std::vector<std::vector<Tensor>> each;
  for (int64_t k = 0; k < s.directions; ++k) {
    SelectiveScanInputs one = in;
    for (Tensor* t : {&one.delta, &one.B, &one.C}) *t = t->narrow(2, k, 1);
    for (Tensor* t : {&one.A, &one.D, &one.delta_bias}) *t = t->narrow(0, k, 1);
    each.push_back(all_of(kCuda, one, tables.only(k)));
  }
  for (const size_t summed : {0, 2})  // y and the gradient of u
    EXPECT_TRUE(together[summed].equal(each[0][summed] + each[1][summed] + each[2][summed]));
  for (size_t k = 0; k < each.size(); ++k) {
    const auto at = static_cast<int64_t>(k);
    for (const size_t per_token : {1, 3, 5, 6}) {  // state; gradients of delta, B, C
      const int64_t axis = per_token == 1 ? 1 : 2;
      EXPECT_TRUE(together[per_token].narrow(axis, at, 1).equal(each[k][per_token])) << per_token;
    }
    for (const size_t per_direction : {4, 7, 8})  // of A, D, bias
      EXPECT_TRUE(together[per_direction].narrow(0, at, 1).equal(each[k][per_direction])) << per_direction;
  }
}

/// No sum depends on who comes first, and no thread reads what another is about to write.
TEST(CudaScan, GivesTheSameBitsInWhateverOrderThreadsRun) {
  for (const Sizes& s :
       {Sizes{1, 75, 3, 130, 1, 1}, Sizes{1, 75, 3, 70, 1, 16}, Sizes{2, 70, 2, 20, 2, 64}}) {
    const SelectiveScanInputs in = make_inputs(s, {});
    const ScanTables tables = make_tables(s);
    emulation::take_turns(Turns::forwards);
    const std::vector<Tensor> expected = all_of(kCuda, in, tables);
    for (const Turns turns : {Turns::backwards, Turns::interleaved}) {
      emulation::take_turns(turns);
      const std::vector<Tensor> found = all_of(kCuda, in, tables);
      for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(found[i].equal(expected[i])) << i;
    }
    emulation::take_turns(Turns::forwards);
  }
}

}  // namespace
}  // namespace mambaseg

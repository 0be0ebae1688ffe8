#include "mambaseg/ops/selective_scan.h"

#include <gtest/gtest.h>

#include <functional>

#include <ATen/Parallel.h>
#include <torch/cuda.h>

#include "mambaseg/ops/selective_scan_operands.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {
namespace {

using torch::Tensor;

struct Sizes {
  int64_t batch = 2, length = 5, directions = 1, channels = 4, groups = 1, states = 3;
};

struct Options {
  bool shared_u = true, skip = true, gate = true, bias = true, softplus = true, constant_B = false,
       constant_C = false;
};

SelectiveScanInputs make_inputs(const Sizes& s, const Options& o, torch::Dtype type, uint64_t seed = 1) {
  torch::manual_seed(seed);
  const auto random = [&](torch::IntArrayRef sizes) { return torch::randn(sizes, torch::kDouble).to(type); };
  SelectiveScanInputs in;
  in.u = o.shared_u ? random({s.batch, s.length, s.channels})
                    : random({s.batch, s.length, s.directions, s.channels});
  in.delta = random({s.batch, s.length, s.directions, s.channels});
  in.delta = o.softplus ? in.delta : in.delta.abs() * 0.3;
  in.A = -torch::exp(random({s.directions, s.channels, s.states}) * 0.5);
  const auto operand = [&](bool constant) {
    return constant ? random({s.directions, s.channels, s.states})
                    : random({s.batch, s.length, s.directions, s.groups, s.states});
  };
  in.B = operand(o.constant_B);
  in.C = operand(o.constant_C);
  if (o.skip) in.D = random({s.directions, s.channels});
  if (o.gate) in.z = random({s.batch, s.length, s.channels});
  if (o.bias) in.delta_bias = random({s.directions, s.channels}) * 0.5;
  if (o.bias && !o.softplus) in.delta_bias = in.delta_bias.abs();  // a negative step makes the state grow
  in.delta_softplus = o.softplus;
  return in;
}

std::vector<Tensor*> tensors_of(SelectiveScanInputs& in) {
  std::vector<Tensor*> all;
  for (Tensor* t : {&in.u, &in.delta, &in.A, &in.B, &in.C, &in.D, &in.z, &in.delta_bias}) {
    if (t->defined()) all.push_back(t);
  }
  return all;
}

/// The definition, one step after the other, with tensor operations that autograd knows.
Tensor loop_scan(const SelectiveScanInputs& in, std::span<const ScanOrder> orders,
                 Tensor* last_state = nullptr) {
  const int64_t batch = in.delta.size(0), length = in.delta.size(1), K = in.delta.size(2),
                channels = in.delta.size(3);
  Tensor sum;
  std::vector<Tensor> states;
  for (int64_t k = 0; k < K; ++k) {
    Tensor x = torch::zeros({batch, channels, in.A.size(2)}, in.u.options());
    std::vector<Tensor> y(length);
    for (int64_t t = 0; t < length; ++t) {
      const int64_t p = orders.empty() ? t : orders[k][t];
      const Tensor u = in.u.dim() == 4 ? in.u.select(1, p).select(1, k) : in.u.select(1, p);
      Tensor dt = in.delta.select(1, p).select(1, k);
      if (in.delta_bias.defined()) dt = dt + in.delta_bias[k];
      if (in.delta_softplus) dt = torch::softplus(dt, 1, 20);
      const auto operand = [&](const Tensor& t) {  // (B or 1, C, N)
        if (t.dim() != 5) return t.select(0, k).unsqueeze(0);
        return t.select(1, p).select(1, k).repeat_interleave(channels / t.size(3), 1);
      };
      x = torch::exp(dt.unsqueeze(2) * in.A[k]) * x + (dt * u).unsqueeze(2) * operand(in.B);
      y[p] = (x * operand(in.C)).sum(2);
      if (in.D.defined()) y[p] = y[p] + in.D[k] * u;
    }
    const Tensor stacked = torch::stack(y, 1);
    sum = k == 0 ? stacked : sum + stacked;
    states.push_back(x);
  }
  if (last_state) *last_state = torch::stack(states, 1);
  return in.z.defined() ? sum * torch::silu(in.z) : sum;
}

double relative_error(const Tensor& value, const Tensor& expected) {
  const double peak = expected.abs().max().item<double>();
  return (value.to(torch::kDouble) - expected.to(torch::kDouble)).abs().max().item<double>() /
         std::max(peak, 1e-30);
}

std::vector<ScanOrder> some_orders(int64_t length, int64_t directions) {
  std::vector<ScanOrder> orders;
  for (int64_t k = 0; k < directions; ++k) {
    ScanOrder order(length);
    for (int64_t t = 0; t < length; ++t)
      order[t] = static_cast<int32_t>((t * (k / 2 % 2 == 0 ? 1 : length - 1)) % length);
    if (k % 2 == 1) std::reverse(order.begin(), order.end());
    orders.push_back(order);
  }
  return orders;
}

TEST(SelectiveScan, GivesTheNumbersOfTheSpecification) {
  for (const auto type : {torch::kDouble, torch::kFloat}) {
    const auto tensor = [&](std::vector<double> values, std::vector<int64_t> sizes) {
      return torch::tensor(values, torch::kDouble).reshape(sizes).to(type);
    };
    SelectiveScanInputs in;
    in.u = tensor({1, -2, 0.5}, {1, 3, 1});
    in.delta = tensor({0.1, 0.2, -0.3}, {1, 3, 1, 1});
    in.delta_bias = tensor({-0.4}, {1, 1});
    in.A = tensor({-1, -2}, {1, 1, 2});
    in.B = tensor({1, 0.3, 0.5, 0.2, -1, 0.1}, {1, 3, 1, 1, 2});
    in.C = tensor({0.7, 0.5, -0.2, 1, 1, -0.5}, {1, 3, 1, 1, 2});
    Tensor state;
    const auto expect = [&](const Tensor& value, std::vector<double> expected) {
      EXPECT_TRUE(torch::allclose(value.reshape({-1}).to(torch::kDouble),
                                  torch::tensor(expected, torch::kDouble), 0, 2e-7))
          << value;
    };
    expect(selective_scan(in), {0.47120196, -0.13031107, -0.36548887});
    in.D = tensor({1.5}, {1, 1});
    expect(selective_scan(in), {1.97120196, -3.13031107, 0.38451113});
    in.z = tensor({0.2, -1, 2}, {1, 3, 1});
    expect(selective_scan(in, nullptr, &state), {0.21676677, 0.84187031, 0.67735256});
    expect(state, {-0.39759622, -0.06421471});
  }
}

TEST(SelectiveScan, EqualsTheLoopForEveryCombinationOfOptions) {
  for (int bits = 0; bits < 128; ++bits) {
    const Options o{(bits & 1) != 0,  (bits & 2) != 0,  (bits & 4) != 0, (bits & 8) != 0,
                    (bits & 16) != 0, (bits & 32) != 0, (bits & 64) != 0};
    const Sizes s{2, 7, 3, 6, 2, 5};
    const std::vector<ScanOrder> orders = some_orders(s.length, s.directions);
    const ScanTables tables = make_scan_tables(orders);
    SelectiveScanInputs in = make_inputs(s, o, torch::kFloat);
    SelectiveScanInputs exact = in;
    for (Tensor* t : tensors_of(exact)) *t = t->to(torch::kDouble).requires_grad_();
    for (Tensor* t : tensors_of(in)) t->requires_grad_();

    Tensor state, exact_state;
    const Tensor y = selective_scan(in, &tables, &state);
    const Tensor expected = loop_scan(exact, orders, &exact_state);
    EXPECT_EQ(y.scalar_type(), torch::kFloat);
    EXPECT_LT(relative_error(y, expected), 2e-6) << bits;
    EXPECT_LT(relative_error(state, exact_state), 2e-6) << bits;

    const Tensor weight = torch::randn(y.sizes());
    (y * weight).sum().backward();
    (expected * weight.to(torch::kDouble)).sum().backward();
    const auto inputs = tensors_of(in), exacts = tensors_of(exact);
    for (size_t i = 0; i < inputs.size(); ++i) {
      ASSERT_TRUE(inputs[i]->grad().defined()) << bits << " input " << i;
      EXPECT_LT(relative_error(inputs[i]->grad(), exacts[i]->grad()), 5e-6) << bits << " input " << i;
    }
  }
}

/// y, the last state and the gradients by one of the implementations.
std::vector<Tensor> all_of(const ScanImplementation& by, SelectiveScanInputs in, const ScanTables& tables) {
  for (Tensor* t : tensors_of(in)) *t = t->detach().requires_grad_();
  Tensor state;
  const Tensor y = selective_scan_by(by, in, &tables, &state);
  const Tensor weight = torch::cos(torch::arange(y.numel(), torch::kDouble)).view(y.sizes());
  (y * weight.to(y.scalar_type())).sum().backward();
  std::vector<Tensor> all{y, state};
  for (Tensor* t : tensors_of(in)) all.push_back(t->grad());
  return all;
}

TEST(SelectiveScan, LibTorchGivesTheNumbersOfTheKernel) {
  const ScanImplementation &kernel = kScanImplementations[1], &libtorch = kScanImplementations[2];
  for (const torch::ScalarType type : {torch::kDouble, torch::kFloat, torch::kBFloat16}) {
    for (const Sizes& s : {Sizes{2, 7, 3, 6, 2, 5}, Sizes{1, 70, 2, 4, 1, 3}, Sizes{1, 32, 1, 3, 3, 300}}) {
      const ScanTables tables = make_scan_tables(some_orders(s.length, s.directions));
      for (int bits = 0; bits < 128; bits += type == torch::kDouble && s.length == 7 ? 1 : 9) {
        const Options o{(bits & 1) != 0,  (bits & 2) != 0,  (bits & 4) != 0, (bits & 8) != 0,
                        (bits & 16) != 0, (bits & 32) != 0, (bits & 64) != 0};
        SelectiveScanInputs in =
            make_inputs(s, o, type == torch::kBFloat16 ? torch::ScalarType(torch::kFloat) : type);
        for (Tensor* t : {&in.u, &in.delta, &in.B, &in.C, &in.z})
          if (t->defined()) *t = t->to(type);
        const auto expected = all_of(kernel, in, tables), found = all_of(libtorch, in, tables);
        ASSERT_EQ(found.size(), expected.size());
        const double tolerance = type == torch::kDouble ? 1e-12 : type == torch::kFloat ? 1e-5 : 8e-3;
        for (size_t i = 0; i < found.size(); ++i) {
          EXPECT_EQ(found[i].scalar_type(), expected[i].scalar_type());
          EXPECT_LT(relative_error(found[i], expected[i]), tolerance) << type << " " << bits << " " << i;
        }
      }
    }
  }
}

TEST(SelectiveScan, NumericGradientInDouble) {
  const Sizes s{1, 4, 2, 3, 3, 2};
  const std::vector<ScanOrder> orders = some_orders(s.length, s.directions);
  const ScanTables tables = make_scan_tables(orders);
  SelectiveScanInputs in = make_inputs(s, {}, torch::kDouble);
  for (Tensor* t : tensors_of(in)) t->requires_grad_();
  const Tensor weight = torch::randn({s.batch, s.length, s.channels}, torch::kDouble);
  (selective_scan(in, &tables) * weight).sum().backward();
  torch::NoGradGuard no_grad;
  const double step = 1e-6;
  for (Tensor* t : tensors_of(in)) {
    Tensor flat = t->view({-1});
    const Tensor gradient = t->grad().view({-1});
    for (int64_t i = 0; i < flat.numel(); ++i) {
      const double value = flat[i].item<double>();
      flat[i] = value + step;
      const double above = (selective_scan(in, &tables) * weight).sum().item<double>();
      flat[i] = value - step;
      const double below = (selective_scan(in, &tables) * weight).sum().item<double>();
      flat[i] = value;
      EXPECT_NEAR(gradient[i].item<double>(), (above - below) / (2 * step), 1e-7);
    }
  }
}

TEST(SelectiveScan, TakesTensorsThatAreNotContiguous) {
  const Sizes s{2, 9, 2, 5, 1, 4};
  const std::vector<ScanOrder> orders = some_orders(s.length, s.directions);
  const ScanTables tables = make_scan_tables(orders);
  SelectiveScanInputs in = make_inputs(s, {}, torch::kFloat);
  const Tensor expected = selective_scan(in, &tables);
  SelectiveScanInputs strided = in;
  for (Tensor* t : tensors_of(strided)) {  // every last axis gets a stride of 2
    *t = torch::stack({*t, torch::full_like(*t, 1e9)}, -1).select(-1, 0);
    ASSERT_FALSE(t->is_contiguous());
  }
  EXPECT_TRUE(selective_scan(strided, &tables).equal(expected));
  // Columns of a wider tensor, as the split of a projection gives them.
  const Tensor wide = torch::randn({2, 9, 2, 1, 11});
  in.B = wide.narrow(4, 2, 4);
  in.C = wide.narrow(4, 6, 4);
  const Tensor narrow = selective_scan(in, &tables);
  in.B = in.B.contiguous();
  in.C = in.C.contiguous();
  EXPECT_TRUE(selective_scan(in, &tables).equal(narrow));
  // One B for all tokens, by a stride of zero.
  in.B = in.B.narrow(1, 0, 1).expand({2, 9, 2, 1, 4});
  const Tensor expanded = selective_scan(in, &tables);
  in.B = in.B.contiguous();
  EXPECT_TRUE(selective_scan(in, &tables).equal(expanded));
}

TEST(SelectiveScan, SameBitsEveryTime) {
  const Sizes s{3, 70, 4, 40, 2, 8};
  const std::vector<ScanOrder> orders = some_orders(s.length, s.directions);
  const ScanTables tables = make_scan_tables(orders);
  const auto once = [&] {
    SelectiveScanInputs in = make_inputs(s, {}, torch::kFloat);
    for (Tensor* t : tensors_of(in)) t->requires_grad_();
    const Tensor y = selective_scan(in, &tables);
    y.square().sum().backward();
    std::vector<Tensor> results = {y.detach()};
    for (Tensor* t : tensors_of(in)) results.push_back(t->grad());
    return results;
  };
  const int threads = at::get_num_threads();
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    const std::vector<Tensor> first = once();
    for (int i = 0; i < 3; ++i) {
      const std::vector<Tensor> again = once();
      for (size_t j = 0; j < first.size(); ++j)
        EXPECT_TRUE(again[j].equal(first[j])) << count << " threads, " << j;
    }
  }
  at::set_num_threads(threads);
}

TEST(SelectiveScan, ThreadsDoNotChangeTheResult) {
  const int threads = at::get_num_threads();
  for (const Sizes& s : {Sizes{3, 20, 2, 5, 1, 4}, Sizes{1, 20, 2, 40, 2, 4}, Sizes{2, 20, 3, 200, 1, 2}}) {
    const std::vector<ScanOrder> orders = some_orders(s.length, s.directions);
    const ScanTables tables = make_scan_tables(orders);
    std::vector<std::vector<Tensor>> runs;
    for (const int count : {1, 2, 5}) {
      at::set_num_threads(count);
      SelectiveScanInputs in = make_inputs(s, {}, torch::kFloat);
      for (Tensor* t : tensors_of(in)) t->requires_grad_();
      const Tensor y = selective_scan(in, &tables);
      y.square().sum().backward();
      runs.push_back({y.detach()});
      for (Tensor* t : tensors_of(in)) runs.back().push_back(t->grad());
    }
    for (const auto& run : runs) {
      EXPECT_TRUE(run[0].equal(runs[0][0]));
      for (size_t i = 1; i < run.size(); ++i) EXPECT_LT(relative_error(run[i], runs[0][i]), 2e-6) << i;
    }
  }
  at::set_num_threads(threads);
}

TEST(SelectiveScan, PiecesOfAWalkGiveTheWholeWalk) {
  // Few channels and many threads: the walks are cut into pieces.
  const int threads = at::get_num_threads();
  const Sizes s{1, 700, 3, 5, 1, 4};
  const std::vector<ScanOrder> orders = some_orders(s.length, s.directions);
  const ScanTables tables = make_scan_tables(orders);
  for (const Options& o : {Options{}, Options{true, false, false, false, false, true, true}}) {
    for (const auto type : {torch::kFloat, torch::kDouble}) {
      std::vector<std::vector<Tensor>> runs;
      for (const int count : {1, 3, 8, 8}) {
        at::set_num_threads(count);
        SelectiveScanInputs in = make_inputs(s, o, type);
        for (Tensor* t : tensors_of(in)) t->requires_grad_();
        Tensor state;
        const Tensor y = selective_scan(in, &tables, &state);
        y.square().sum().backward();
        runs.push_back({y.detach(), state});
        for (Tensor* t : tensors_of(in)) runs.back().push_back(t->grad());
      }
      const double tolerance = type == torch::kFloat ? 3e-6 : 1e-12;
      for (const auto& run : runs) {
        for (size_t i = 0; i < run.size(); ++i)
          EXPECT_LT(relative_error(run[i], runs[0][i]), tolerance) << type << " " << i;
      }
      for (size_t i = 0; i < runs[3].size(); ++i) EXPECT_TRUE(runs[3][i].equal(runs[2][i])) << i;
    }
  }
  at::set_num_threads(threads);
}

TEST(SelectiveScan, ReadsBf16AsItIs) {
  // The same bf16 numbers in double: what is returned in fp32 agrees as in fp32.
  const Sizes s{2, 70, 2, 20, 1, 8};
  const std::vector<ScanOrder> orders = some_orders(s.length, s.directions);
  const ScanTables tables = make_scan_tables(orders);
  SelectiveScanInputs in = make_inputs(s, {}, torch::kFloat);
  for (Tensor* t : {&in.u, &in.delta, &in.B, &in.C, &in.z}) *t = t->to(torch::kBFloat16);
  SelectiveScanInputs exact = in;
  for (Tensor* t : tensors_of(exact)) *t = t->to(torch::kDouble).requires_grad_();
  for (Tensor* t : tensors_of(in)) t->requires_grad_();
  Tensor state, exact_state;
  const Tensor y = selective_scan(in, &tables, &state),
               expected = selective_scan(exact, &tables, &exact_state);
  EXPECT_EQ(y.scalar_type(), torch::kBFloat16);
  EXPECT_LT(relative_error(y, expected), 4e-3);  // half a unit of bf16
  EXPECT_LT(relative_error(state, exact_state), 2e-6);
  y.sum().backward();
  expected.sum().backward();
  const auto inputs = tensors_of(in), exacts = tensors_of(exact);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool single = inputs[i]->scalar_type() == torch::kFloat;
    EXPECT_LT(relative_error(inputs[i]->grad(), exacts[i]->grad()), single ? 5e-6 : 4e-3) << i;
  }
}

TEST(SelectiveScan, OnTheGpuGivesTheNumbersOfTheCpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU, or a LibTorch without CUDA";
  for (const Sizes& s : {Sizes{2, 7, 3, 6, 2, 5}, Sizes{1, 130, 2, 66, 1, 16}, Sizes{1, 65, 1, 5, 1, 64}}) {
    const std::vector<ScanOrder> orders = some_orders(s.length, s.directions);
    const ScanTables tables = make_scan_tables(orders), gpu_tables = make_scan_tables(orders, torch::kCUDA);
    for (int bits = 0; bits < 32; ++bits) {
      for (const auto type : {torch::kFloat, torch::kBFloat16}) {
        const Options o{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0, (bits & 16) != 0};
        SelectiveScanInputs in = make_inputs(s, o, torch::kFloat);
        for (Tensor* t : {&in.u, &in.delta, &in.B, &in.C, &in.z})
          if (t->defined()) *t = t->to(type);
        SelectiveScanInputs gpu = in;
        for (Tensor* t : tensors_of(gpu)) *t = t->to(torch::kCUDA).requires_grad_();
        for (Tensor* t : tensors_of(in)) t->requires_grad_();
        Tensor state, gpu_state;
        const Tensor y = selective_scan(in, &tables, &state),
                     found = selective_scan(gpu, &gpu_tables, &gpu_state);
        const double tolerance = type == torch::kFloat ? 5e-6 : 8e-3;
        EXPECT_LT(relative_error(found.cpu(), y), tolerance) << bits;
        EXPECT_LT(relative_error(gpu_state.cpu(), state), 5e-6) << bits;
        const Tensor weight = torch::randn(y.sizes()).to(y.scalar_type());
        y.backward(weight);
        found.backward(weight.to(torch::kCUDA));
        const auto inputs = tensors_of(in), on_gpu = tensors_of(gpu);
        for (size_t i = 0; i < inputs.size(); ++i)
          EXPECT_LT(relative_error(on_gpu[i]->grad().cpu(), inputs[i]->grad()), 2 * tolerance)
              << bits << " " << i;
      }
    }
  }
}

TEST(SelectiveScan, KeepsTheTypeOfU) {
  SelectiveScanInputs in = make_inputs({}, {}, torch::kFloat);
  const Tensor expected = selective_scan(in);
  in.u = in.u.to(torch::kBFloat16);
  const Tensor y = selective_scan(in);
  EXPECT_EQ(y.scalar_type(), torch::kBFloat16);
  EXPECT_LT(relative_error(y, expected), 3e-2);
}

TEST(SelectiveScan, NarrowOperandsAmongWideOnesGiveWhatTheyGiveWidened) {
  const Sizes s{2, 70, 2, 20, 1, 8};
  const ScanTables tables = make_scan_tables(some_orders(s.length, s.directions));
  SelectiveScanInputs narrow = make_inputs(s, {}, torch::kFloat);
  for (Tensor* t : {&narrow.u, &narrow.delta, &narrow.z}) *t = t->to(torch::kBFloat16);
  narrow.type = torch::kFloat;
  SelectiveScanInputs wide = narrow;
  for (Tensor* t : tensors_of(wide)) *t = t->to(torch::kFloat).clone().requires_grad_();
  for (Tensor* t : tensors_of(narrow)) t->requires_grad_();
  const Tensor y = selective_scan(narrow, &tables), expected = selective_scan(wide, &tables);
  EXPECT_TRUE(torch::equal(y, expected));
  EXPECT_EQ(y.scalar_type(), torch::kFloat);
  y.square().sum().backward();
  expected.square().sum().backward();
  const auto inputs = tensors_of(narrow), wides = tensors_of(wide);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == &narrow.z) {  // made of y as bf16 holds it
      EXPECT_TRUE(torch::allclose(narrow.z.grad().to(torch::kFloat), wide.z.grad(), 0x1p-7, 1e-6));
      continue;
    }
    EXPECT_TRUE(torch::equal(inputs[i]->grad(), wides[i]->grad().to(inputs[i]->scalar_type()))) << i;
  }
}

TEST(SelectiveScan, RefusesWhatDoesNotFit) {
  const auto refuses = [](const std::function<void(SelectiveScanInputs&)>& spoil) {
    SelectiveScanInputs in = make_inputs({}, {}, torch::kFloat);
    spoil(in);
    EXPECT_THROW(selective_scan(in), c10::Error);
  };
  refuses([](auto& in) { in.u = in.u.narrow(1, 0, 4); });
  refuses([](auto& in) { in.delta = in.delta.squeeze(2); });
  refuses([](auto& in) { in.A = in.A.narrow(1, 0, 2); });
  refuses([](auto& in) { in.B = in.B.expand({2, 5, 1, 3, 3}); });
  refuses([](auto& in) { in.C = in.C.expand({2, 5, 1, 2, 3}); });
  refuses([](auto& in) { in.D = in.D.squeeze(0); });
  refuses([](auto& in) { in.z = in.z.narrow(2, 0, 3); });
  refuses([](auto& in) { in.delta_bias = in.delta_bias.narrow(1, 0, 3); });
  refuses([](auto& in) { in.u = in.u.to(torch::kInt64); });
  refuses([](auto& in) { in.A = Tensor(); });
  refuses([](auto& in) { in = make_inputs({2, 5, 2}, {}, torch::kFloat); });  // two directions, no walks
  SelectiveScanInputs in = make_inputs({}, {}, torch::kFloat);
  const ScanTables tables = make_scan_tables(std::vector<ScanOrder>{{0, 1, 2}});
  EXPECT_THROW(selective_scan(in, &tables), c10::Error);
  ScanTables elsewhere = make_scan_tables(std::vector<ScanOrder>{raster_order(in.delta.size(1))});
  EXPECT_NO_THROW(selective_scan(in, &elsewhere));
  elsewhere.index_TL = elsewhere.index_TL.to(torch::kMeta);
  EXPECT_THROW(selective_scan(in, &elsewhere), c10::Error) << "walks on another device";
}

}  // namespace
}  // namespace mambaseg

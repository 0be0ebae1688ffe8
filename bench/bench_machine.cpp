// What the machine can do at most: fp32 multiply-adds a second in registers, and bytes a second to and from
// memory, per number of threads. docs/performance.md computes the limits of the kernels from it.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/bench_machine.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Does `rounds` times twelve independent vectors of multiply-adds; returns how many numbers those were.
double multiply_add(int64_t rounds, float* result) {
  const hn::ScalableTag<float> d;
  using Vec = hn::Vec<decltype(d)>;
  const Vec factor = hn::Set(d, 0.999f), term = hn::Set(d, 0.001f);
  const auto start = [&](float value)
                         HWY_ATTR { return hn::Set(d, value); };  // all different: none is left out
  Vec a = start(1), b = start(2), c = start(3), e = start(4), f = start(5), g = start(6), h = start(7),
      i = start(8), j = start(9), k = start(10), l = start(11), m = start(12);
  for (int64_t round = 0; round < rounds; ++round) {
    a = hn::MulAdd(a, factor, term), b = hn::MulAdd(b, factor, term), c = hn::MulAdd(c, factor, term);
    e = hn::MulAdd(e, factor, term), f = hn::MulAdd(f, factor, term), g = hn::MulAdd(g, factor, term);
    h = hn::MulAdd(h, factor, term), i = hn::MulAdd(i, factor, term), j = hn::MulAdd(j, factor, term);
    k = hn::MulAdd(k, factor, term), l = hn::MulAdd(l, factor, term), m = hn::MulAdd(m, factor, term);
  }
  const Vec sum =
      hn::Add(hn::Add(hn::Add(a, b), hn::Add(c, e)),
              hn::Add(hn::Add(hn::Add(f, g), hn::Add(h, i)), hn::Add(hn::Add(j, k), hn::Add(l, m))));
  *result = hn::GetLane(sum);
  return 12.0 * static_cast<double>(rounds * hn::Lanes(d));
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mambaseg {
namespace {

HWY_EXPORT(multiply_add);

/// The most that `work`, run by all threads at once, does a second, of five times.
double rate(int threads, const std::function<double(int)>& work) {
  double best = 0;
  for (int run = 0; run < 5; ++run) {
    std::vector<double> done(threads);
    std::vector<std::thread> workers;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < threads; ++i) workers.emplace_back([&, i] { done[i] = work(i); });
    for (std::thread& worker : workers) worker.join();
    const double elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    double total = 0;
    for (const double amount : done) total += amount;
    best = std::max(best, total / elapsed_s);
  }
  return best;
}

}  // namespace
}  // namespace mambaseg

int main(int argc, char** argv) {
  using namespace mambaseg;
  const bool json = argc > 1 && std::string(argv[1]) == "--json";
  const char* separator = "[";
  for (const int threads : {1, 2}) {
    std::vector<float> results(threads);
    const double adds =
        rate(threads, [&](int i) { return HWY_DYNAMIC_DISPATCH(multiply_add)(20'000'000, &results[i]); });
    constexpr size_t kFloats = 32 << 20;
    std::vector<std::vector<float>> from(threads, std::vector<float>(kFloats, 1.0f)), to = from;
    const double bytes = rate(threads, [&](int i) {
      std::copy(from[i].begin(), from[i].end(), to[i].begin());
      return 2.0 * kFloats * sizeof(float);
    });
    if (json)
      std::printf(R"(%s{"case": "multiply-adds in registers", "unit": "G/s", "ours": %.4g, "threads": %d},)"
                  "\n"
                  R"( {"case": "copying, read and written", "unit": "GB/s", "ours": %.4g, "threads": %d})",
                  separator, adds / 1e9, threads, bytes / 1e9, threads);
    else
      std::printf("%d thread(s): %.1f G multiply-adds/s, copying %.1f GB/s read and written\n", threads,
                  adds / 1e9, bytes / 1e9);
    separator = ",\n";
  }
  if (json) std::printf("]\n");
}
#endif

#pragma once

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "mambaseg/core/error.h"
#include "mambaseg/core/volume.h"
#include "tests/golden_check/golden_case.h"

namespace mambaseg {

/// Collects what a pipeline check finds: the first failure, the largest error, and the pitfalls of
/// networks.md 1.9 that make the official result differ from ours on purpose.
class PipelineFindings {
 public:
  void require(bool holds, const std::string& what) {
    if (holds || !result_.passed) return;
    result_.passed = false;
    failure_ = what;
  }

  void near(const std::string& name, const torch::Tensor& expected, const torch::Tensor& value,
            double allowed) {
    if (!same_sizes(name, expected, value)) return;
    if (expected.numel() == 0) return;
    const double error =
        (expected.to(torch::kFloat64) - value.to(torch::kFloat64)).abs().max().item<double>();
    result_.error = std::max(result_.error, error);
    require(error <= allowed, concat(name, " off by ", error));
  }

  void equal(const std::string& name, const torch::Tensor& expected, const torch::Tensor& value) {
    near(name, expected, value, 0);
  }

  /// At most `fraction` of the values differ, and none by more than `most`.
  void mostly_equal(const std::string& name, const torch::Tensor& expected, const torch::Tensor& value,
                    double fraction, double most = 1e300) {
    if (!same_sizes(name, expected, value)) return;
    const auto difference = (expected.to(torch::kFloat64) - value.to(torch::kFloat64)).abs();
    const double different = difference.ne(0).to(torch::kFloat64).mean().item<double>();
    result_.error = std::max(result_.error, different);
    require(different <= fraction, concat(name, ": ", different * 100, " % of the values differ"));
    require(difference.max().item<double>() <= most,
            concat(name, ": off by ", difference.max().item<double>()));
  }

  /// Two histograms of the same data of which at most `fraction` of the values moved.
  void histogram(const std::string& name, const torch::Tensor& expected, const torch::Tensor& value,
                 double fraction) {
    if (!same_sizes(name, expected, value)) return;
    const double moved = (expected - value).abs().sum().item<double>() / 2 / expected.sum().item<double>();
    require(moved <= fraction, concat(name, ": ", moved * 100, " % of the voxels differ"));
  }

  /// The official result breaks a rule here, so ours was checked against the rule instead.
  void differs(const std::string& pitfall) { pitfalls_.insert(pitfall); }

  GoldenResult result() const {
    GoldenResult out = result_;
    if (!out.passed) out.remark = failure_;
    for (const std::string& pitfall : out.passed ? pitfalls_ : std::set<std::string>{})
      out.remark += (out.remark.empty() ? "(differs: pitfall " : ", ") + pitfall;
    if (out.passed && !out.remark.empty()) out.remark += ")";
    return out;
  }

 private:
  bool same_sizes(const std::string& name, const torch::Tensor& expected, const torch::Tensor& value) {
    require(expected.sizes() == value.sizes(),
            concat(name, ": sizes ", value.sizes(), " instead of ", expected.sizes()));
    return expected.sizes() == value.sizes();
  }

  GoldenResult result_{true, 0, ""};
  std::string failure_;
  std::set<std::string> pitfalls_;
};

inline Index3 index3(const Json& list) { return {list[0], list[1], list[2]}; }
inline Index3 index3(const torch::Tensor& t) {
  return {t[0].item<int64_t>(), t[1].item<int64_t>(), t[2].item<int64_t>()};
}

/// x[start::step] on each axis
inline torch::Tensor every(const torch::Tensor& x, const Index3& step, int64_t start = 0) {
  using torch::indexing::Slice;
  return x.index({Slice(start, torch::indexing::None, step[0]), Slice(start, torch::indexing::None, step[1]),
                  Slice(start, torch::indexing::None, step[2])});
}

/// [sum x, sum x (i + 1), sum x (j + 1), sum x (k + 1)] of a tensor (i, j, k)
inline torch::Tensor checksum(const torch::Tensor& x) {
  const auto values = x.to(torch::kInt64);
  std::vector<int64_t> out{values.sum().item<int64_t>()};
  for (int axis = 0; axis < 3; ++axis) {
    std::vector<int64_t> shape(3, 1);
    shape[static_cast<size_t>(axis)] = x.size(axis);
    out.push_back((values * torch::arange(1, x.size(axis) + 1).reshape(shape)).sum().item<int64_t>());
  }
  return torch::tensor(out);
}

inline torch::Tensor byte_histogram(const torch::Tensor& x) {
  return torch::bincount(x.flatten().to(torch::kInt64), {}, 256);
}

inline Geometry geometry_of(const Index3& size, const torch::Tensor& affine) {
  Geometry out;
  out.size = size;
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column)
      out.voxel_to_ras_mm.matrix[row][column] = affine[row][column].item<double>();
    out.voxel_to_ras_mm.offset[row] = affine[row][3].item<double>();
  }
  return out;
}

inline torch::Tensor affine_tensor(const Affine& affine) {
  auto out = torch::eye(4, torch::kFloat64);
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column) out[row][column] = affine.matrix[row][column];
    out[row][3] = affine.offset[row];
  }
  return out;
}

inline torch::Tensor size_tensor(const Index3& size) { return torch::tensor({size[0], size[1], size[2]}); }

GoldenResult check_conform_file(const GoldenCase& golden);
GoldenResult check_conform_array(const GoldenCase& golden);
GoldenResult check_nibabel_conform(const GoldenCase& golden);
GoldenResult check_run_and_reconstruct(const GoldenCase& golden);
GoldenResult check_run_aseg(const GoldenCase& golden);

}  // namespace mambaseg

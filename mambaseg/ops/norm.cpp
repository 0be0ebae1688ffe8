#include "mambaseg/ops/norm.h"

#include <ATen/Parallel.h>
#include <torch/autograd.h>

#include <algorithm>
#include <cmath>

#include "mambaseg/kernels/channels_last.h"
#include "mambaseg/ops/channels_last.h"
#include "mambaseg/ops/recomputed.h"
#include "mambaseg/ops/synchronised_norm.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr int64_t kRowsInOneCall = 512;

/// Sums over all rows of each channel of one batch item, minus `middle`, and of their squares.
struct Moments {
  std::vector<double> sum, square;
};

/// Two sums of every channel over all rows: add(first, count, sum, square) computes those of a block of rows.
template <class Add>
Moments summed(int64_t rows, size_t channels, Add add) {
  // As many pieces as threads, added in their order.
  const int64_t blocks = (rows + kMomentRows - 1) / kMomentRows;
  const int64_t pieces = std::min<int64_t>(blocks, at::get_num_threads());
  std::vector<Moments> parts(static_cast<size_t>(pieces),
                             {std::vector<double>(channels), std::vector<double>(channels)});
  at::parallel_for(0, pieces, 1, [&](int64_t first, int64_t last) {
    std::vector<float> sum(channels), square(channels);
    for (int64_t p = first; p < last; ++p) {
      Moments& part = parts[static_cast<size_t>(p)];
      for (int64_t b = blocks * p / pieces; b < blocks * (p + 1) / pieces; ++b) {
        add(b * kMomentRows, std::min(rows - b * kMomentRows, kMomentRows), sum.data(), square.data());
        for (size_t c = 0; c < channels; ++c) part.sum[c] += sum[c], part.square[c] += square[c];
      }
    }
  });
  for (size_t p = 1; p < parts.size(); ++p)
    for (size_t c = 0; c < channels; ++c)
      parts[0].sum[c] += parts[p].sum[c], parts[0].square[c] += parts[p].square[c];
  return std::move(parts[0]);
}

template <class T>
Moments moments_of(const T* x, int64_t rows, int64_t channels, const std::vector<float>& middle) {
  return summed(rows, middle.size(), [&](int64_t first, int64_t count, float* sum, float* square) {
    channel_moments(x + first * channels, count, channels, middle.data(), sum, square);
  });
}

/// Of one group of channels of one batch item.
struct GroupStatistics {
  double mean, factor;  ///< factor: 1 / sqrt(variance + eps)
};

std::vector<GroupStatistics> statistics_of(const Moments& m, const std::vector<float>& middle, int64_t rows,
                                           int64_t groups, double eps) {
  const size_t channels = middle.size(), width = channels / static_cast<size_t>(groups);
  const auto n = static_cast<double>(rows), count = n * static_cast<double>(width);
  std::vector<GroupStatistics> out;
  for (size_t first = 0; first < channels; first += width) {
    double mean = 0, square = 0;
    for (size_t c = first; c < first + width; ++c) mean += (m.sum[c] + n * middle[c]) / count;
    for (size_t c = first; c < first + width; ++c) {
      const double off = mean - middle[c];
      square += m.square[c] - off * (2 * m.sum[c] - n * off);
    }
    out.push_back({mean, 1 / std::sqrt(std::max(0.0, square / count) + eps)});
  }
  return out;
}

/// What the norm multiplies and adds in each channel of one batch item.
struct ChannelScales {
  std::vector<float> scale, shift;
};

ChannelScales scales_of(const std::vector<GroupStatistics>& groups, const Tensor& weight,
                        const Tensor& bias) {
  const auto channels = static_cast<size_t>(weight.numel());
  const float *w = weight.data_ptr<float>(), *b = bias.data_ptr<float>();
  ChannelScales out{std::vector<float>(channels), std::vector<float>(channels)};
  for (size_t c = 0; c < channels; ++c) {
    const auto [mean, factor] = groups[c * groups.size() / channels];
    out.scale[c] = static_cast<float>(w[c] * factor);
    out.shift[c] = static_cast<float>(b[c] - mean * factor * w[c]);
  }
  return out;
}

torch::optional<float> slope_of(Activation activation) {
  switch (activation) {
    case Activation::none:
      return 1.0f;
    case Activation::relu:
      return 0.0f;
    case Activation::leaky_relu:
      return static_cast<float>(kLeakySlope);
    default:
      return {};
  }
}

/// A copy of the first voxel, near enough to the means for the sums to keep their digits.
template <class T>
std::vector<float> first_row(const T* x, int64_t channels) {
  std::vector<float> row(static_cast<size_t>(channels));
  for (size_t c = 0; c < row.size(); ++c) row[c] = to_float(x[c]);
  return row;
}

/// Means and 1 / deviations (B, groups) go to `statistics` where it is given.
Tensor fast_group_norm(const Tensor& given, int64_t groups, const Tensor& weight, const Tensor& bias,
                       double eps, float slope, const Tensor& residual,
                       std::vector<GroupStatistics>* statistics = nullptr) {
  const Tensor x = channels_last(given);
  const Tensor y = empty_channels_last(x.sizes(), x);
  const Tensor added = residual.defined() ? channels_last(residual.to(x.scalar_type())) : residual;
  const int64_t batch = x.size(0), channels = x.size(1), rows = x.numel() / (batch * channels);
  with_numbers(x, [&]<class T>(T* all) {
    for (int64_t b = 0; b < batch; ++b) {
      const T* from = all + b * rows * channels;
      T* to = static_cast<T*>(y.data_ptr()) + b * rows * channels;
      const T* plus = added.defined() ? static_cast<T*>(added.data_ptr()) + b * rows * channels : nullptr;
      const std::vector<float> middle = first_row(from, channels);
      const std::vector<GroupStatistics> found =
          statistics_of(moments_of(from, rows, channels, middle), middle, rows, groups, eps);
      if (statistics) statistics->insert(statistics->end(), found.begin(), found.end());
      const ChannelScales s = scales_of(found, weight, bias);
      at::parallel_for(0, rows, kRowsInOneCall, [&](int64_t first, int64_t last) {
        const int64_t at = first * channels;
        scale_shift(from + at, plus ? plus + at : nullptr, last - first, channels, s.scale.data(),
                    s.shift.data(), slope, to + at);
      });
    }
  });
  return y;
}

/// Gradients of one batch item; those of weight and bias are added to what is there.
template <class T>
void group_norm_gradient(const T* x, const T* y, const T* dy, int64_t rows, float slope,
                         const std::vector<GroupStatistics>& groups, const float* weight, T* dx,
                         std::vector<double>& dweight, std::vector<double>& dbias) {
  const size_t C = dweight.size(), width = C / groups.size();
  const auto channels = static_cast<int64_t>(C);
  std::vector<float> middle(C);
  for (size_t c = 0; c < C; ++c) middle[c] = static_cast<float>(groups[c / width].mean);
  const Moments m = summed(rows, C, [&](int64_t first, int64_t count, float* sum, float* product) {
    const int64_t at = first * channels;
    scale_shift_sums(x + at, y + at, dy + at, count, channels, middle.data(), slope, sum, product);
  });
  // dx = factor (w g - mean(w g) - z mean(w g z)), z = (x - mean) factor, means over the group.
  std::vector<float> by_g(C), by_x(C), offset(C);
  for (size_t g = 0; g < groups.size(); ++g) {
    const auto [mean, factor] = groups[g];
    const double count = static_cast<double>(rows) * static_cast<double>(width);
    double plain = 0, weighted = 0;
    for (size_t c = g * width; c < (g + 1) * width; ++c) {
      const double with_z = factor * (m.square[c] - (mean - middle[c]) * m.sum[c]);
      plain += weight[c] * m.sum[c] / count;
      weighted += weight[c] * with_z / count;
      dweight[c] += with_z;
      dbias[c] += m.sum[c];
    }
    for (size_t c = g * width; c < (g + 1) * width; ++c) {
      by_g[c] = static_cast<float>(factor * weight[c]);
      by_x[c] = static_cast<float>(-factor * factor * weighted);
      offset[c] = static_cast<float>(factor * (factor * mean * weighted - plain));
    }
  }
  at::parallel_for(0, rows, kRowsInOneCall, [&](int64_t first, int64_t last) {
    const int64_t at = first * channels;
    scale_shift_gradient(x + at, y + at, dy + at, last - first, channels, slope, by_g.data(), by_x.data(),
                         offset.data(), dx + at);
  });
}

/// Group norm, what is added to it (empty: nothing) and an activation of the given slope.
class GroupNormFunction : public torch::autograd::Function<GroupNormFunction> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& given, const Tensor& weight,
                        const Tensor& bias, const Tensor& residual, int64_t groups, double eps, double slope,
                        std::vector<GroupStatistics>* found) {
    const Tensor x = channels_last(given);
    std::vector<GroupStatistics> statistics;
    const bool adds = residual.numel() > 0;
    const Tensor y = fast_group_norm(x, groups, weight, bias, eps, static_cast<float>(slope),
                                     adds ? residual : Tensor(), &statistics);
    ctx->save_for_backward({x, weight, slope == 1 ? Tensor() : y});
    ctx->saved_data["adds"] = adds;
    std::vector<double> numbers;
    for (const auto& [mean, factor] : statistics) numbers.insert(numbers.end(), {mean, factor});
    ctx->saved_data["statistics"] = numbers;
    ctx->saved_data["groups"] = groups;
    ctx->saved_data["slope"] = slope;
    if (found) *found = std::move(statistics);
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1];
    const bool adds = ctx->saved_data["adds"].toBool();
    double slope = ctx->saved_data["slope"].toDouble();
    Tensor dy = channels_last(gradients[0]), y = saved[2];
    if (adds && slope != 1) {  // of the sum, which is the gradient of what was added
      dy = at::leaky_relu_backward(dy, y, slope, /*self_is_result=*/true);
      slope = 1;
    }
    if (slope == 1) y = dy;  // read, but of no effect
    const Tensor dx = empty_channels_last(x.sizes(), x);
    const auto numbers = ctx->saved_data["statistics"].toDoubleVector();
    const auto groups = static_cast<size_t>(ctx->saved_data["groups"].toInt());
    const int64_t item = x.numel() / x.size(0), rows = item / x.size(1);
    const auto C = static_cast<size_t>(x.size(1));
    std::vector<double> dweight(C), dbias(C);
    for (int64_t b = 0; b < x.size(0); ++b) {
      std::vector<GroupStatistics> statistics;
      for (size_t g = 0; g < groups; ++g) {
        const size_t at = 2 * (static_cast<size_t>(b) * groups + g);
        statistics.push_back({numbers[at], numbers[at + 1]});
      }
      with_numbers(x, [&]<class T>(const T* all) {
        const auto of_item = [&](const Tensor& t) { return static_cast<T*>(t.data_ptr()) + b * item; };
        group_norm_gradient<T>(all + b * item, of_item(y), of_item(dy), rows, static_cast<float>(slope),
                               statistics, weight.data_ptr<float>(), of_item(dx), dweight, dbias);
      });
    }
    return {dx,
            torch::tensor(dweight, torch::kDouble).to(torch::kFloat),
            torch::tensor(dbias, torch::kDouble).to(torch::kFloat),
            adds ? dy : Tensor(),
            Tensor(),
            Tensor(),
            Tensor(),
            Tensor()};
  }
};

/// act(group norm of x + residual), recorded for the backward pass.
Tensor recorded_group_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t groups,
                           double eps, const Epilogue& epilogue,
                           std::vector<GroupStatistics>* found = nullptr) {
  const auto slope = slope_of(epilogue.activation);
  const bool adds = epilogue.residual.defined() && epilogue.residual.scalar_type() == x.scalar_type();
  const bool joins = slope && (adds || !epilogue.residual.defined());
  const Tensor none = torch::empty({0}, x.options().requires_grad(false));
  const Tensor y = GroupNormFunction::apply(x, weight, bias, adds && joins ? epilogue.residual : none, groups,
                                            eps, joins ? *slope : 1.0, found);
  return joins ? y : finish(y, epilogue);
}

/// Group norm on a GPU. LibTorch gives every group to one block of threads, so that few groups over a large
/// volume leave most of the GPU idle; here its general reduction makes the statistics. Sums are fp32.
class GroupNormOnGpuFunction : public torch::autograd::Function<GroupNormOnGpuFunction> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x, const Tensor& weight,
                        const Tensor& bias, int64_t groups, double eps) {
    const int64_t batch = x.size(0), channels = x.size(1);
    const Tensor single = x.to(torch::kFloat).contiguous();
    const auto [var, mean] = torch::var_mean(single.view({batch * groups, -1}), {1}, /*unbiased=*/false);
    const Tensor factor = (var + eps).rsqrt();
    const auto of_channels = [&](const Tensor& t) { return t.view({1, groups, channels / groups}); };
    const Tensor scale = factor.view({batch, groups, 1}) * of_channels(weight),
                 shift = of_channels(bias) - mean.view({batch, groups, 1}) * scale;
    std::vector<int64_t> sizes(static_cast<size_t>(x.dim()), 1);
    sizes[0] = batch;
    sizes[1] = channels;
    ctx->save_for_backward({x, weight, mean.view({batch, groups}), factor.view({batch, groups})});
    ctx->saved_data["groups"] = groups;
    return torch::addcmul(shift.reshape(sizes), single, scale.reshape(sizes)).to(x.scalar_type());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1];
    const auto [dx, dweight, dbias] = at::native_group_norm_backward(
        gradients[0].to(torch::kFloat).contiguous(), x.to(torch::kFloat).contiguous(), saved[2], saved[3],
        weight, x.size(0), x.size(1), x.numel() / (x.size(0) * x.size(1)), ctx->saved_data["groups"].toInt(),
        {true, true, true});
    return {dx.to(x.scalar_type()), dweight, dbias, Tensor(), Tensor()};
  }
};

/// The items of a channels-last batch as one item whose first spatial axis is longer; and back.
Tensor as_one_item(const Tensor& x) { return x.movedim(1, -1).flatten(0, 1).unsqueeze(0).movedim(-1, 1); }
Tensor as_batch(const Tensor& y, int64_t items) {
  return y.movedim(1, -1).squeeze(0).unflatten(0, {items, -1}).movedim(-1, 1);
}

void remember(RunningStatistics& running, const std::vector<GroupStatistics>& found, double values,
              double eps) {
  const torch::NoGradGuard no_grad;
  std::vector<double> mean, unbiased;
  for (const auto& [group_mean, factor] : found) {
    mean.push_back(group_mean);
    unbiased.push_back((1 / (factor * factor) - eps) * values / std::max(values - 1, 1.0));
  }
  // By LibTorch's operations, which tell the tensors' versions: weights packed with the old values are
  // renewed.
  const double share = running.momentum;
  running.mean.mul_(1 - share).add_(torch::tensor(mean, torch::kDouble).to(running.mean.scalar_type()),
                                    share);
  running.var.mul_(1 - share).add_(torch::tensor(unbiased, torch::kDouble).to(running.var.scalar_type()),
                                   share);
}

}  // namespace

Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias, double eps,
                  const Epilogue& epilogue) {
  TORCH_CHECK(x.dim() >= 3 && groups > 0 && x.size(1) % groups == 0 && weight.numel() == x.size(1),
              "group_norm: expected (B, ", weight.numel(), ", spatial...) and groups that divide it, got ",
              x.sizes(), " and ", groups, " groups");
  const bool recorded = needs_gradient({x, weight, bias, epilogue.residual});
  if (x.is_cuda() && !PlainLibTorchGuard::active() && x.scalar_type() != torch::kDouble &&
      weight.scalar_type() == torch::kFloat)
    return finish(GroupNormOnGpuFunction::apply(x, weight, bias, groups, eps), epilogue);
  if (!fits_kernels(x) || x.dim() < 4 || weight.scalar_type() != torch::kFloat)
    return finish(torch::group_norm(x, groups, weight.to(x.scalar_type()), bias.to(x.scalar_type()), eps),
                  epilogue);
  if (recorded) return recorded_group_norm(x, weight, bias, groups, eps, epilogue);
  const auto slope = slope_of(epilogue.activation);
  if (slope) return fast_group_norm(x, groups, weight, bias, eps, *slope, epilogue.residual);
  return finish(fast_group_norm(x, groups, weight, bias, eps, 1, {}), epilogue);
}

Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, RunningStatistics running,
                  double eps, const Epilogue& epilogue) {
  if (const SynchronisedBatchNorms* ranks = SynchronisedBatchNorms::active())
    return finish(ranks->norm(x, weight, bias, running, eps), epilogue);
  const auto type = weight.scalar_type();
  if (!fits_kernels(x) || x.dim() < 4 || type != torch::kFloat)
    return finish(torch::batch_norm(x.to(type), weight, bias, is_recomputing() ? Tensor() : running.mean,
                                    is_recomputing() ? Tensor() : running.var, /*training=*/true,
                                    running.momentum, eps, at::globalContext().userEnabledCuDNN())
                      .to(x.scalar_type()),
                  epilogue);
  // A group norm of groups of one channel, in which the batch is one item.
  const int64_t items = x.size(0), channels = x.size(1);
  const auto joined = [&](const Tensor& t) {
    return items == 1 || !t.defined() ? t : as_one_item(channels_last(t));
  };
  const Tensor one = joined(x);
  std::vector<GroupStatistics> found;
  Tensor y;
  if (needs_gradient({x, weight, bias, epilogue.residual})) {
    const Epilogue of_all{epilogue.activation, joined(epilogue.residual)};
    y = recorded_group_norm(one, weight, bias, channels, eps, of_all, &found);
  } else {
    const auto slope = slope_of(epilogue.activation);
    y = fast_group_norm(one, channels, weight, bias, eps, slope.value_or(1),
                        slope ? joined(epilogue.residual) : Tensor(), &found);
    if (!slope) y = finish(y, {epilogue.activation, joined(epilogue.residual)});
  }
  if (!is_recomputing()) remember(running, found, static_cast<double>(x.numel() / channels), eps);
  return items > 1 ? as_batch(y, items) : y;
}

namespace {

/// Of x (..., channels), contiguous.
Tensor normed_rows(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  const int64_t channels = x.size(-1);
  Tensor y = torch::empty_like(x);
  with_numbers(x, [&]<class T>(T* from) {
    T* to = static_cast<T*>(y.data_ptr());
    at::parallel_for(0, x.numel() / channels, 16, [&](int64_t first, int64_t last) {
      norm_rows(from + first * channels, last - first, channels, weight.data_ptr<float>(),
                bias.data_ptr<float>(), static_cast<float>(eps), to + first * channels);
    });
  });
  return y;
}

class LayerNormFunction : public torch::autograd::Function<LayerNormFunction> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x, const Tensor& weight,
                        const Tensor& bias, double eps) {
    ctx->save_for_backward({x, weight});
    ctx->saved_data["eps"] = eps;
    return normed_rows(x, weight, bias, eps);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1];
    const Tensor dy = gradients[0].to(x.scalar_type()).contiguous(), dx = torch::empty_like(x);
    const auto eps = static_cast<float>(ctx->saved_data["eps"].toDouble());
    const int64_t channels = x.size(-1);
    Moments sums;
    with_numbers(x, [&]<class T>(T* from) {
      sums = summed(x.numel() / channels, static_cast<size_t>(channels),
                    [&](int64_t first, int64_t count, float* dweight, float* dbias) {
                      const int64_t at = first * channels;
                      norm_rows_gradient(from + at, static_cast<const T*>(dy.data_ptr()) + at, count,
                                         channels, weight.data_ptr<float>(), eps, dweight, dbias,
                                         static_cast<T*>(dx.data_ptr()) + at);
                    });
    });
    const auto as_tensor = [](const std::vector<double>& v) {
      return torch::tensor(v, torch::kDouble).to(torch::kFloat);
    };
    return {dx, as_tensor(sums.sum), as_tensor(sums.square), Tensor()};
  }
};

}  // namespace

Tensor layer_norm(const Tensor& given, const Tensor& weight, const Tensor& bias, double eps) {
  if (!fits_kernels(given) || !weight.defined() || !bias.defined() || weight.scalar_type() != torch::kFloat) {
    const auto type = given.scalar_type();
    return torch::layer_norm(given, {given.size(-1)}, weight.defined() ? weight.to(type) : weight,
                             bias.defined() ? bias.to(type) : bias, eps);
  }
  const Tensor x = given.contiguous();
  return needs_gradient({x, weight, bias}) ? LayerNormFunction::apply(x, weight, bias, eps)
                                           : normed_rows(x, weight, bias, eps);
}

}  // namespace mambaseg

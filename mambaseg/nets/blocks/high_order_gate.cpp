#include "mambaseg/nets/blocks/high_order_gate.h"

#include "mambaseg/core/error.h"

namespace mambaseg {

std::vector<int64_t> HighOrderGate::widths(const HighOrderSettings& s) {
  if (s.width % (int64_t{1} << (s.order - 1)) != 0)
    throw UsageError(concat("network: ", s.width, " channels do not halve ", s.order - 1,
                            " times, as gates of order ", s.order, " have them"));
  std::vector<int64_t> widths;
  for (int64_t i = s.order; i-- > 0;) widths.push_back(s.width >> i);
  return widths;
}

HighOrderGate::HighOrderGate(const HighOrderSettings& s, std::shared_ptr<Layer> local,
                             const std::vector<std::pair<std::string, std::shared_ptr<Layer>>>& mixers)
    : settings_(s),
      widths_(widths(s)),
      in_(register_module("proj_in", conv(s.dims, s.width, 2 * s.width, 1, s.convolution))),
      local_(register_module("dwconv", std::move(local))) {
  for (const auto& [name, mixer] : mixers) mixers_.push_back(register_module(name, mixer));
  for (size_t i = 1; i < widths_.size(); ++i)
    between_.push_back(conv(s.dims, widths_[i - 1], widths_[i], 1, s.convolution));
  register_list(*this, s.between, between_);
  out_ = register_module("proj_out", conv(s.dims, s.width, s.width, 1, s.convolution));
}

torch::Tensor HighOrderGate::forward(const torch::Tensor& tokens) {
  const auto projected = [](Convolution& convolution, const torch::Tensor& x) {
    return convolution.forward(x.movedim(-1, 1)).movedim(1, -1);
  };
  const torch::Tensor both = projected(*in_, tokens);
  const int64_t first = widths_[0], rest = both.size(-1) - first;
  const std::vector<torch::Tensor> gates =
      (local_->forward(both.narrow(-1, first, rest)) * settings_.scale).split_with_sizes(widths_, -1);
  torch::Tensor x = both.narrow(-1, 0, first);
  for (size_t i = 0; i < gates.size(); ++i) {
    if (i > 0) x = projected(*between_[i - 1], x);
    x = settings_.multiply ? x * gates[i] : x + gates[i];
    if (!mixers_.empty()) x = mixers_[i]->forward(x);
  }
  return projected(*out_, x);
}

}  // namespace mambaseg

#include "mambaseg/nets/blocks/soft_moe.h"

#include <cmath>

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/layers/dropping.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/ops/gate.h"

namespace mambaseg {
namespace {

constexpr double kEps = 1e-8;
constexpr double kLeastGate = 0.01;

/// Splits the last axis: the first half times GELU of the second.
class GatedGelu : public Layer {
 public:
  torch::Tensor forward(const torch::Tensor& x) override {
    const std::vector<torch::Tensor> halves = x.chunk(2, -1);
    return gated(halves[0], halves[1], Activation::gelu);
  }
};

std::vector<std::shared_ptr<Layer>> experts_of(const SoftMoeSettings& s) {
  const auto whole = static_cast<double>(s.width) * s.expansion;
  const auto inner = static_cast<int64_t>(s.gated ? whole * 2 / 3 : whole);
  std::vector<std::shared_ptr<Layer>> experts;
  for (int64_t e = 0; e < s.experts; ++e) {
    const std::shared_ptr<Layer> bend = s.gated
                                            ? std::static_pointer_cast<Layer>(std::make_shared<GatedGelu>())
                                            : activation(Activation::gelu);
    experts.push_back(
        sequence({std::make_shared<Linear>(s.width, s.gated ? 2 * inner : inner), bend,
                  std::make_shared<Dropout>(s.dropout), std::make_shared<Linear>(inner, s.width)}));
  }
  return experts;
}

/// (..., width) -> (..., count, width)
class SplitSlots : public Layer {
 public:
  explicit SplitSlots(int64_t width) : width_(width) {}
  torch::Tensor forward(const torch::Tensor& x) override { return x.unflatten(-1, {-1, width_}); }

 private:
  int64_t width_;
};

std::shared_ptr<Sequence> slot_embedding(int64_t width, int64_t count) {
  return sequence({std::make_shared<Linear>(width, width * count, false), std::make_shared<SplitSlots>(width),
                   std::make_shared<RootMeanSquareNorm>(width)});
}

torch::Tensor single(const torch::Tensor& x) {
  return x.scalar_type() == torch::kDouble ? x : x.to(torch::kFloat);
}

/// Zeros behind the tokens up to a multiple of `run`.
torch::Tensor padded(const torch::Tensor& x_BLC, int64_t run) {
  return torch::constant_pad_nd(x_BLC, {0, 0, 0, (run - x_BLC.size(1) % run) % run});
}

}  // namespace

RootMeanSquareNorm::RootMeanSquareNorm(int64_t width)
    : gamma_(register_parameter("gamma", torch::ones({width}))) {}

torch::Tensor RootMeanSquareNorm::forward(const torch::Tensor& x) {
  const torch::Tensor length = x.norm(2, -1, /*keepdim=*/true).clamp_min(kEps);
  return x / length * (gamma_ * std::sqrt(static_cast<double>(gamma_.numel())));
}

SoftMixture::SoftMixture(const SoftMoeSettings& s)
    : width_(s.width),
      norm_(register_module("norm", std::make_shared<RootMeanSquareNorm>(s.width))),
      slots_(register_module("to_slot_embeds", slot_embedding(s.width, s.experts))),
      experts_(experts_of(s)) {
  register_list(*this, "experts", experts_);
}

torch::Tensor SoftMixture::forward(const torch::Tensor& x_BLC) {
  const auto E = static_cast<int64_t>(experts_.size());
  // The zeros that fill the last run count as tokens, as published.
  const torch::Tensor x = padded(norm_->forward(single(x_BLC)), E);
  const int64_t B = x.size(0);
  const torch::Tensor slots =
      slots_->forward(x.unflatten(1, {-1, E}).mean({2})).transpose(1, 2);           // (B, E, S, C)
  const torch::Tensor fit = torch::matmul(x, slots.reshape({B, -1, width_}).mT());  // (B, L, E * S)
  const torch::Tensor seen = torch::matmul(torch::softmax(fit, 1).mT(), x).view({B, E, -1, width_});
  std::vector<torch::Tensor> results;
  for (int64_t e = 0; e < E; ++e)
    results.push_back(experts_[static_cast<size_t>(e)]->forward(seen.select(1, e)));
  const torch::Tensor y = torch::matmul(torch::softmax(fit, 2), torch::cat(results, 1));
  return y.narrow(1, 0, x_BLC.size(1)).to(x_BLC.scalar_type());
}

HierarchicalMixture::HierarchicalMixture(const HierarchicalMoeSettings& s)
    : settings_(s),
      expert_gates_(register_parameter("expert_gates", torch::ones({s.experts}))),
      norm_(register_module("norm", std::make_shared<RootMeanSquareNorm>(s.width))),
      slots_(register_module("to_slot_embeds", slot_embedding(s.width, s.experts * s.slots))),
      experts_(experts_of(s)) {
  register_list(*this, "experts_first", experts_);
  group_gate_ = register_module("group_gate_mlp", std::make_shared<Linear>(s.width, 1));
  SoftMoeSettings second = s;
  second.experts = s.second_experts;
  second_ = register_module("dynamic_slots_soft_moe", std::make_shared<SoftMixture>(second));
}

torch::Tensor HierarchicalMixture::forward(const torch::Tensor& x_BLC) {
  const int64_t B = x_BLC.size(0), L = x_BLC.size(1), C = settings_.width;
  const torch::Tensor x = padded(single(x_BLC), settings_.group).view({-1, settings_.group, C});
  const torch::Tensor mean = x.mean({1});  // of padded tokens too, as published
  // Padded tokens are 0: they send nothing, and what they would get is cut off.
  const torch::Tensor shares =
      torch::softmax(torch::matmul(norm_->forward(x), slots_->forward(mean).mT()), 2);  // (groups, K, M)
  const torch::Tensor seen = torch::matmul(shares.mT(), x);
  std::vector<torch::Tensor> results;
  for (int64_t e = 0; e < settings_.experts; ++e)
    results.push_back(
        experts_[static_cast<size_t>(e)]->forward(seen.narrow(1, e * settings_.slots, settings_.slots)) *
        expert_gates_[e]);
  const torch::Tensor gate = torch::sigmoid(group_gate_->forward(mean)).clamp(kLeastGate, 1).unsqueeze(1);
  const torch::Tensor first = torch::cat(results, 1) * gate;  // (groups, M, C)
  const torch::Tensor second = second_->forward(first.view({B, -1, C})).view(first.sizes());
  return torch::matmul(shares, second).view({B, -1, C}).narrow(1, 0, L).to(x_BLC.scalar_type());
}

std::vector<OfficialBlock> official_soft_moe() {
  using Block = std::shared_ptr<torch::nn::Module>;
  constexpr const char* kRepository = "gmum/MambaHoME";
  return {{kRepository,
           {"DynamicSlotsSoftMoE"},
           [](const Json& a) -> Block {
             return std::make_shared<SoftMixture>(
                 SoftMoeSettings{a.at("dim"), a.at("num_experts"), a.at("expert_mult"), a.at("geglu")});
           }},
          {kRepository, {"HierarchicalDynamicSlotsSoftMoE"}, [](const Json& a) -> Block {
             HierarchicalMoeSettings s;
             s.width = a.at("dim");
             s.experts = a.at("num_experts_first");
             s.expansion = a.at("expert_mult");
             s.gated = a.at("geglu");
             s.group = a.at("group_size");
             s.slots = a.at("num_slots_per_expert_first");
             s.second_experts = a.at("num_experts_second");
             return std::make_shared<HierarchicalMixture>(s);
           }}};
}

}  // namespace mambaseg

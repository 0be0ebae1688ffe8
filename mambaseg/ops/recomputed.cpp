#include "mambaseg/ops/recomputed.h"

#include <ATen/Context.h>
#include <torch/autograd.h>
#include <torch/custom_class.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "mambaseg/ops/autocast.h"
#include "mambaseg/ops/channels_last.h"

namespace mambaseg {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

thread_local bool second_time = false;

class SecondTime {
 public:
  SecondTime() : before_(second_time) { second_time = true; }
  ~SecondTime() { second_time = before_; }
  SecondTime(const SecondTime&) = delete;
  SecondTime& operator=(const SecondTime&) = delete;

 private:
  bool before_;
};

/// The state of the generators of random numbers that a computation on `device` draws from.
class RandomState {
 public:
  explicit RandomState(torch::Device device)
      : generators_{at::globalContext().defaultGenerator(torch::kCPU)} {
    if (!device.is_cpu()) generators_.push_back(at::globalContext().defaultGenerator(device));
    for (const at::Generator& generator : generators_) states_.push_back(state_of(generator));
  }
  void put_back() {
    for (size_t i = 0; i < generators_.size(); ++i) {
      const std::lock_guard<std::mutex> lock(generators_[i].mutex());
      generators_[i].set_state(states_[i]);
    }
  }

 private:
  static Tensor state_of(const at::Generator& generator) {
    at::Generator one = generator;
    const std::lock_guard<std::mutex> lock(one.mutex());
    return one.get_state();
  }
  std::vector<at::Generator> generators_;
  variable_list states_;
};

/// What surrounds a computation and decides its bits.
struct Surroundings {
  RandomState random;
  std::string precision;  ///< of the Autocast
  bool plain = PlainLibTorchGuard::active();
};

/// Kept between the passes.
struct Recipe : torch::CustomClassHolder {
  Recipe(Computation given, torch::Device where)
      : compute(std::move(given)), device(where), around{RandomState(where), autocast_precision(where)} {}
  Computation compute;
  torch::Device device;
  Surroundings around;
};

/// Leaves of the same numbers.
variable_list cut_off(const variable_list& inputs) {
  variable_list leaves;
  for (const Tensor& x : inputs) leaves.push_back(x.detach().requires_grad_(x.requires_grad()));
  return leaves;
}

variable_list gradients(const Recipe& recipe, const variable_list& inputs, const variable_list& parameters,
                        const Tensor& dy) {
  RandomState now(recipe.device);
  Surroundings around = recipe.around;
  around.random.put_back();
  const torch::AutoGradMode recorded(true);
  variable_list leaves = cut_off(inputs);
  Tensor y;
  {
    const SecondTime guard;
    const Autocast autocast(around.precision, recipe.device);
    std::optional<PlainLibTorchGuard> plain;
    if (around.plain) plain.emplace();
    y = recipe.compute(leaves);
  }
  now.put_back();
  leaves.insert(leaves.end(), parameters.begin(), parameters.end());
  variable_list wanted;
  for (const Tensor& leaf : leaves)
    if (leaf.requires_grad()) wanted.push_back(leaf);
  const variable_list found = torch::autograd::grad({y}, wanted, {dy}, /*retain_graph=*/false,
                                                    /*create_graph=*/false, /*allow_unused=*/true);
  variable_list all;
  size_t next = 0;
  for (const Tensor& leaf : leaves) all.push_back(leaf.requires_grad() ? found[next++] : Tensor());
  return all;
}

class RecomputedFunction : public torch::autograd::Function<RecomputedFunction> {
 public:
  static Tensor forward(AutogradContext* ctx, at::TensorList operands, int64_t inputs,
                        const c10::intrusive_ptr<Recipe>& recipe) {
    ctx->save_for_backward(operands.vec());
    ctx->saved_data["inputs"] = inputs;
    ctx->saved_data["recipe"] = c10::IValue::make_capsule(recipe);
    // Recorded for the sake of the bits: what is not recorded may be computed in fewer steps.
    const torch::AutoGradMode recorded(true);
    const Tensor* first = operands.data();
    return recipe->compute(cut_off({first, first + inputs})).detach();
  }

  static variable_list backward(AutogradContext* ctx, variable_list of_result) {
    const variable_list saved = ctx->get_saved_variables();
    const auto middle = saved.begin() + ctx->saved_data["inputs"].toInt();
    const auto recipe = c10::static_intrusive_pointer_cast<Recipe>(ctx->saved_data["recipe"].toCapsule());
    variable_list all = gradients(*recipe, {saved.begin(), middle}, {middle, saved.end()}, of_result[0]);
    all.insert(all.end(), 2, Tensor());
    return all;
  }
};

}  // namespace

Tensor recomputed(const Computation& compute, const std::vector<Tensor>& inputs,
                  const std::vector<Tensor>& parameters) {
  const auto learns = [](const Tensor& t) { return t.requires_grad(); };
  const bool recorded =
      torch::GradMode::is_enabled() && (std::any_of(inputs.begin(), inputs.end(), learns) ||
                                        std::any_of(parameters.begin(), parameters.end(), learns));
  if (!recorded) return compute(inputs);
  variable_list operands = inputs;
  operands.insert(operands.end(), parameters.begin(), parameters.end());
  return RecomputedFunction::apply(at::TensorList(operands), static_cast<int64_t>(inputs.size()),
                                   c10::make_intrusive<Recipe>(compute, inputs[0].device()));
}

bool is_recomputing() { return second_time; }

}  // namespace mambaseg

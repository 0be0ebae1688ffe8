// Whole networks and their blocks against the official classes that they declare.

#include "tests/golden_check/network_cases.h"

#include <algorithm>
#include <regex>

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/model/near_ties.h"
#include "mambaseg/nets/model/pixel_scale.h"
#include "mambaseg/nets/model/weights.h"

namespace mambaseg {
namespace {

/// "x = x_u8 tiled (or repeated) 3x along each spatial axis": 3; 1 when the note does not speak of tiles.
int64_t tiles(const GoldenCase& golden) {
  const auto note = golden.metadata.find("note");
  std::smatch match;
  if (note == golden.metadata.end() ||
      !std::regex_search(note->second, match, std::regex("(?:tiled|repeated) (\\d+)x")))
    return 1;
  return std::stoll(match[1]);
}

/// Every input by its name; bytes (input.<name>_u8) are tiled as the note says and divided by 255.
std::map<std::string, torch::Tensor> inputs_of(const GoldenCase& golden) {
  const std::string prefix = "input.", of_bytes = "_u8";
  std::map<std::string, torch::Tensor> inputs;
  for (const auto& [key, tensor] : golden.tensors) {
    if (!key.starts_with(prefix)) continue;
    std::string name = key.substr(prefix.size());
    torch::Tensor value = tensor.to(golden.device);
    if (name.ends_with(of_bytes)) {
      name.resize(name.size() - of_bytes.size());
      std::vector<int64_t> repeats(static_cast<size_t>(value.dim()), tiles(golden));
      repeats[0] = repeats[1] = 1;
      value = value.repeat(repeats).to(torch::kFloat) / 255;
    }
    inputs[name] = value.clone();
  }
  return inputs;
}

/// In fp64 where asked for, and what rounding of fp32 may turn.
void widen(const GoldenCase& golden, torch::nn::Module& module,
           std::map<std::string, torch::Tensor>& inputs) {
  if (!golden.fp64 && dynamic_cast<TurnsOnNearTies*>(&module) == nullptr) return;
  module.to(torch::kDouble);
  for (auto& [name, input] : inputs) input = input.to(torch::kDouble);
}

/// The parameters of `module` under the names that the file uses.
std::map<std::string, torch::Tensor> parameters_by_official_name(
    const torch::nn::Module& module, const GoldenCase& golden, std::string (*our_name)(const std::string&)) {
  std::map<std::string, torch::Tensor> out;
  const auto own = module.named_parameters();
  for (const auto& [official, tensor] : golden.weights()) {
    const std::string name = our_name == nullptr ? official : our_name(official);
    if (own.contains(name) && golden.has("grad.weights." + official)) out[official] = own[name];
  }
  for (const auto& parameter : own) {  // without an own entry in the file: of no influence
    const bool named = std::any_of(
        out.begin(), out.end(), [&](const auto& entry) { return entry.second.is_same(parameter.value()); });
    if (!named) out[parameter.key()] = parameter.value();
  }
  return out;
}

using Tensors = std::map<std::string, torch::Tensor>;

/// The gradients of the sum of outputs times grad_output (grad_output0, ...) under their names in the file.
Tensors gradients_of(const GoldenCase& golden, const std::vector<torch::Tensor>& outputs,
                     const Tensors& inputs, const Tensors& parameters) {
  torch::Tensor loss = torch::zeros({}, golden.device);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string numbered = "grad_output" + std::to_string(i);
    const std::string name = golden.has(numbered) || i > 0 ? numbered : "grad_output";
    if (golden.has(name)) loss = loss + (outputs[i] * golden.on_device(name)).sum();
  }
  loss.backward();
  Tensors gradients;
  for (const auto& [name, input] : inputs)
    if (input.is_leaf() && input.requires_grad()) gradients["input." + name] = input.grad();
  for (const auto& [name, parameter] : parameters) gradients["weights." + name] = parameter.grad();
  return gradients;
}

/// Compares the gradients of `outputs`; doubtful ones are settled by `forward` in fp64.
template <class Forward>
void compare_gradients(const GoldenCase& golden, torch::nn::Module& module,
                       std::string (*our_name)(const std::string&), const std::vector<torch::Tensor>& outputs,
                       Tensors& inputs, const Forward& forward, GoldenComparison& comparison) {
  const auto parameters = [&] { return parameters_by_official_name(module, golden, our_name); };
  for (const auto& [name, gradient] : gradients_of(golden, outputs, inputs, parameters()))
    comparison.gradient(name, gradient);
  if (!comparison.has_doubtful()) return;
  module.zero_grad();
  module.to(torch::kDouble);
  for (auto& [name, input] : inputs) input = input.detach().to(torch::kDouble).requires_grad_();
  for (const auto& [name, gradient] : gradients_of(golden, forward(), inputs, parameters()))
    comparison.settle(name, gradient);
}

bool has_gradients(const GoldenCase& golden) {
  return golden.has("grad_output") || golden.has("grad_output0");
}

GoldenResult check_network(const GoldenCase& golden, const NetworkEntry& entry,
                           const OfficialNetwork& official) {
  const auto network = entry.make(official.settings(golden.args));
  load_weights(*network, with_our_names(golden.weights(), official.our_name));
  network->to(golden.device);
  network->eval();
  network->give_all_scales();
  std::map<std::string, torch::Tensor> stages;
  network->set_observer([&](const std::string& stage, const torch::Tensor& value) { stages[stage] = value; });
  const bool gradients = has_gradients(golden);
  const torch::AutoGradMode mode(gradients);
  auto inputs = inputs_of(golden);
  widen(golden, *network, inputs);
  for (auto& [name, input] : inputs) input.requires_grad_(gradients);
  require(inputs.count("x") != 0, "a network reads input.x");
  if (auto* scaled = dynamic_cast<PixelScaled*>(network.get()); scaled && inputs.count("scale_factor") != 0)
    scaled->set_scale_factors(inputs.at("scale_factor").detach().cpu());
  const auto forward = [&] {
    stages.clear();
    const std::vector<torch::Tensor> scores = network->forward(inputs.at("x"));
    std::vector<torch::Tensor> outputs;
    for (const torch::Tensor& one : scores)
      outputs.push_back(official.behind == nullptr ? one : official.behind(one));
    stages.emplace("logits", scores[0]);  // unless the network makes another known
    stages["prob"] = stages["y"] = outputs[0];
    for (size_t i = 0; i < outputs.size(); ++i)  // in the official order, where the network has made it known
      outputs[i] = stages.emplace("y" + std::to_string(i), outputs[i]).first->second;
    return outputs;
  };
  const std::vector<torch::Tensor> outputs = forward();
  GoldenComparison comparison(golden);
  for (const auto& [stage, value] : stages)
    if (golden.has("output." + stage)) comparison.output(stage, value);
  if (gradients) compare_gradients(golden, *network, official.our_name, outputs, inputs, forward, comparison);
  return comparison.result();
}

GoldenResult check_block(const GoldenCase& golden, const OfficialBlock& official) {
  const auto block = official.make(golden.args);
  load_weights(*block, with_our_names(golden.weights(), official.our_name));
  block->to(golden.device);
  block->eval();
  const bool gradients = has_gradients(golden);
  const torch::AutoGradMode mode(gradients);
  auto inputs = inputs_of(golden);
  widen(golden, *block, inputs);
  for (auto& [name, input] : inputs) input.requires_grad_(gradients);
  auto* several = dynamic_cast<GivesSeveral*>(block.get());
  const auto forward = [&]() -> std::vector<torch::Tensor> {
    if (several != nullptr) return several->outputs(inputs);
    return {official.run != nullptr ? official.run(*block, inputs)
                                    : dynamic_cast<Layer&>(*block).forward(inputs.at("x"))};
  };
  const std::vector<torch::Tensor> outputs = forward();
  GoldenComparison comparison(golden);
  for (size_t i = 0; i < outputs.size(); ++i)
    comparison.output(several != nullptr ? "y" + std::to_string(i) : "y", outputs[i]);
  if (gradients) compare_gradients(golden, *block, official.our_name, outputs, inputs, forward, comparison);
  return comparison.result();
}

/// Whether a class of this name is the file's: "Class", or "Class (folder)" where classes of one name in one
/// repository differ by the folder or file of their source.
bool is_of(const GoldenCase& golden, const std::string& name) {
  const std::string one = golden.official_class + " (";
  if (name == golden.official_class) return true;
  const auto source = golden.metadata.find("source");
  return name.starts_with(one) && source != golden.metadata.end() &&
         source->second.find(name.substr(one.size(), name.size() - one.size() - 1)) != std::string::npos;
}

}  // namespace

torch::optional<GoldenResult> check_counterpart(const GoldenCase& golden) {
  for (const NetworkEntry& entry : networks())
    for (const OfficialNetwork& official : entry.official)
      if (official.repository == golden.repository && is_of(golden, official.class_name))
        return check_network(golden, entry, official);
  for (const OfficialBlock& official : official_blocks()) {
    const auto& names = official.class_names;
    if (official.repository == golden.repository &&
        std::any_of(names.begin(), names.end(), [&](const auto& name) { return is_of(golden, name); }))
      return check_block(golden, official);
  }
  return {};
}

}  // namespace mambaseg

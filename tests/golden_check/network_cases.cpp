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

/// In fp64 what rounding of fp32 may turn.
void widen_where_ties_matter(torch::nn::Module& module, std::map<std::string, torch::Tensor>& inputs) {
  if (dynamic_cast<TurnsOnNearTies*>(&module) == nullptr) return;
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

/// Compares the gradients of the sum of outputs times grad_output (grad_output0, ...).
void compare_gradients(const GoldenCase& golden, const std::vector<torch::Tensor>& outputs,
                       const std::map<std::string, torch::Tensor>& inputs,
                       const std::map<std::string, torch::Tensor>& parameters, GoldenComparison& comparison) {
  torch::Tensor loss = torch::zeros({}, golden.device);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string numbered = "grad_output" + std::to_string(i);
    const std::string name = golden.has(numbered) || i > 0 ? numbered : "grad_output";
    if (golden.has(name)) loss = loss + (outputs[i] * golden.on_device(name)).sum();
  }
  loss.backward();
  for (const auto& [name, input] : inputs)
    if (input.is_leaf() && input.requires_grad()) comparison.gradient("input." + name, input.grad());
  for (const auto& [name, parameter] : parameters) comparison.gradient("weights." + name, parameter.grad());
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
  widen_where_ties_matter(*network, inputs);
  for (auto& [name, input] : inputs) input.requires_grad_(gradients);
  require(inputs.count("x") != 0, "a network reads input.x");
  if (auto* scaled = dynamic_cast<PixelScaled*>(network.get()); scaled && inputs.count("scale_factor") != 0)
    scaled->set_scale_factors(inputs.at("scale_factor").detach().cpu());
  const std::vector<torch::Tensor> scores = network->forward(inputs.at("x"));
  std::vector<torch::Tensor> outputs;
  for (const torch::Tensor& one : scores)
    outputs.push_back(official.behind == nullptr ? one : official.behind(one));
  stages.emplace("logits", scores[0]);  // unless the network makes another known
  stages["prob"] = stages["y"] = outputs[0];
  for (size_t i = 0; i < outputs.size(); ++i)  // in the official order, where the network has made it known
    outputs[i] = stages.emplace("y" + std::to_string(i), outputs[i]).first->second;
  GoldenComparison comparison(golden);
  for (const auto& [stage, value] : stages)
    if (golden.has("output." + stage)) comparison.output(stage, value);
  if (gradients)
    compare_gradients(golden, outputs, inputs,
                      parameters_by_official_name(*network, golden, official.our_name), comparison);
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
  widen_where_ties_matter(*block, inputs);
  for (auto& [name, input] : inputs) input.requires_grad_(gradients);
  std::vector<torch::Tensor> outputs;
  auto* several = dynamic_cast<GivesSeveral*>(block.get());
  if (several != nullptr)
    outputs = several->outputs(inputs);
  else
    outputs = {official.run != nullptr ? official.run(*block, inputs)
                                       : dynamic_cast<Layer&>(*block).forward(inputs.at("x"))};
  GoldenComparison comparison(golden);
  for (size_t i = 0; i < outputs.size(); ++i)
    comparison.output(several != nullptr ? "y" + std::to_string(i) : "y", outputs[i]);
  if (gradients)
    compare_gradients(golden, outputs, inputs, parameters_by_official_name(*block, golden, official.our_name),
                      comparison);
  return comparison.result();
}

/// Whether a class of this name is the file's: "Class", or "Class (folder)" where classes of one name in one
/// repository differ by the folder of their source.
bool is_of(const GoldenCase& golden, const char* class_name) {
  const std::string name = class_name, one = golden.official_class + " (";
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
        std::find(names.begin(), names.end(), golden.official_class) != names.end())
      return check_block(golden, official);
  }
  return {};
}

}  // namespace mambaseg

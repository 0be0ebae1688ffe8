#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "mambaseg/io/outputs.h"
#include "mambaseg/nets/model/checkpoint.h"
#include "mambaseg/nets/model/members.h"
#include "mambaseg/nets/model/tensor_file.h"
#include "mambaseg/nets/model/weights.h"
#include "mambaseg/train/run.h"

namespace mambaseg {
namespace {

struct Options {
  std::string input, output, network, recipe, official_arguments, official_class, member, weights = "fp32";
  std::vector<std::string> settings;
};

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// The settings of `network` for the arguments that its official class was constructed with.
Json settings_of_arguments(const Options& options, const NetworkEntry& network) {
  std::vector<const OfficialNetwork*> found;
  std::string known;
  for (const OfficialNetwork& one : network.official) {
    known += concat(known.empty() ? "" : ", ", one.class_name);
    if (options.official_class.empty() || options.official_class == one.class_name) found.push_back(&one);
  }
  if (known.empty()) throw UsageError(concat("convert: no public class is known for ", network.name));
  if (found.empty())
    throw UsageError(concat("--official-class: expected one of ", known, ", got ", options.official_class));
  try {
    const Json arguments = Json::parse(options.official_arguments);
    if (arguments.is_object()) return found.front()->settings(arguments);
    throw UsageError("--official-args: expected a JSON object, for example '{\"num_classes\": 9}', got " +
                     options.official_arguments);
  } catch (const Json::exception& error) {
    throw UsageError(concat("--official-args: ", found.front()->class_name, " of ", found.front()->repository,
                            ": ", error.what()));
  }
}

/// What the model file says of itself: the network at the paper's settings, or as the recipe has it with the
/// recipe's plan; --set changes settings of the network.
ModelInfo model_info(const Options& options) {
  Json recipe = options.recipe.empty() ? Json::object() : read_recipe(options.recipe).settings();
  Json network = recipe.value("network", Json::object());
  if (!options.network.empty()) network["name"] = options.network;
  if (!network.contains("name"))
    throw UsageError("convert: --network or a recipe with a [network] is needed");
  if (!options.official_arguments.empty())
    network.update(settings_of_arguments(options, find_network(network["name"].get<std::string>())));
  for (const std::string& assignment : options.settings) set_by_path(network, assignment);
  ModelInfo info;
  if (options.recipe.empty()) {
    info.network = find_network(network["name"].get<std::string>()).settings();
    info.network.update(network);
  } else {
    recipe["network"] = network;
    const RunSettings run =
        with_context(options.recipe, [&] { return resolved(from_json<RunSettings>(recipe)); });
    info.network = run.network;
    info.plan = run.task->plan_json();
  }
  info.history = {{"converted_from", options.input}, {"mambaseg", MAMBASEG_VERSION}};
  return info;
}

/// Weights of elsewhere in the network that the options name.
Model converted(const Options& options) {
  Model model{nullptr, model_info(options)};
  model.network = make_network(model.info.network);
  const Weights weights = read_tensors(options.input);
  const std::string name = model.info.network["name"].get<std::string>();
  with_context(options.input, [&] {
    with_context(name, [&] { load_weights(*model.network, with_our_names(weights, find_network(name))); });
  });
  return model;
}

/// Nothing says which network, and the input is a model already: it is written anew.
bool is_model(const Options& options) {
  return options.network.empty() && options.recipe.empty() && options.settings.empty() &&
         ends_with(options.input, ".safetensors") &&
         read_safetensors(options.input).metadata.contains("mambaseg");
}

void run(const Options& options) {
  if (!ends_with(options.output, ".safetensors"))
    throw UsageError("convert: the output should end with .safetensors, got " + options.output);
  prepare_outputs({options.input}, {{options.output, "the model"}});
  Model model = is_model(options) ? load_model(options.input) : converted(options);
  if (!options.member.empty())
    model = with_context("--member", [&] { return member_of(model, options.member); });
  save_model(options.output, *model.network, model.info, stored_weights_named(options.weights));
  std::printf("%s: %s, %lld parameters\n", options.output.c_str(),
              model.info.network["name"].get<std::string>().c_str(),
              static_cast<long long>(parameter_count(*model.network)));
}

}  // namespace

void declare_convert(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command
      .add_option("input", options->input,
                  "Weights: a .pth file of torch.save, or .safetensors; or a model of mambaseg")
      ->required();
  command.add_option("output", options->output, "Model to write, .safetensors")->required();
  command.add_option("--network", options->network, "Network that the weights belong to (mambaseg networks)");
  declare_assignments(command, options->settings, "Setting of the network, for example classes=25");
  command.add_option("--official-args", options->official_arguments,
                     "Arguments that the official class was constructed with, as JSON: '{\"num_classes\": 9, "
                     "\"depths\": [2, 2, 2, 2]}'");
  command.add_option("--official-class", options->official_class,
                     "Which official class, for networks that have several, for example \"UMambaBot (2d)\"");
  command.add_option("--recipe", options->recipe,
                     "Recipe, a file or a name, whose [network] and [plan] the model gets");
  command.add_option("--member", options->member,
                     "Of a network that is made of several, the one to write, as a model of its own: "
                     "mambaseg convert run/best.safetensors cnn.safetensors --member weakmamba_unet");
  command
      .add_option(
          "--weights", options->weights,
          "How the model holds its weights: fp32, or bf16 in half the size (they are computed with in "
          "fp32): mambaseg convert run/best.safetensors small.safetensors --weights bf16")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg

#include <cmath>
#include <cstdio>

#include "mambaseg/models/registry.h"
#include "mambaseg/nets/model/checkpoint.h"

namespace mambaseg {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::string list_of(const Json& values, const char* between) {
  std::string text;
  for (const Json& value : values) text += (text.empty() ? "" : between) + number(value.get<double>());
  return text;
}

/// "medsegmamba, 2.1 M parameters, patches of 96 x 112 x 112 voxels of 1 x 1 x 1 mm"
std::string stage_line(const ModelInfo& info) {
  const double millions = double(parameter_count(*make_network(info.network))) / 1e6;
  std::string text =
      concat(info.network.value("name", ""), ", ", number(std::round(millions * 100) / 100), " M parameters");
  const Json& plan = info.plan;
  if (plan.contains("size"))
    return concat(text, ", pictures brought to ", list_of(plan["size"], " x "), " pixels");
  if (!plan.contains("patch")) return text;
  text += concat(", patches of ", list_of(plan["patch"], " x "), " voxels");
  const std::string conform = plan.value("conform", "");
  if (conform == "spacing") text += concat(" of ", list_of(plan["spacing"], " x "), " mm");
  if (conform == "freesurfer" || conform == "millimetre") text += " of 1 mm";
  return text;
}

std::string classes_of(const Json& plan) {
  std::string text;
  for (const Json& one : plan.value("classes", Json::array()))
    text +=
        concat(text.empty() ? "" : ", ", one["name"].get<std::string>(), " (", one["ids"].at(0).dump(), ")");
  return text.empty() ? plan.value("structure", "") : text;
}

std::string section(const std::string& heading, const std::string& text) {
  return text.empty() ? "" : concat("\n## ", heading, "\n\n", text);
}

}  // namespace

std::string task_of(const ModelInBox& model) {
  const std::string& path = model.weights.at(0);
  const std::string task = read_model_info(path).plan.value("task", "volumes");
  require(!model.has_card || task == model.card.task, path, ": the weights are for ", task, ", the card of ",
          model.name, " says ", model.card.task);
  return task;
}

std::string card_page(const ModelInBox& model) {
  const ModelCard& card = model.card;
  std::string stages, classes, training, scores, failures, limits;
  for (size_t s = 0; s < model.weights.size(); ++s) {
    const ModelInfo info = read_model_info(model.weights[s]);
    stages += concat(s + 1, ". ", stage_line(info), "\n");
    classes = classes_of(info.plan);  // the last stage's labels are what people get
  }
  for (const CardTraining& one : card.training)
    training += concat("- ", one.data, ". Licence: ", one.licence, ". ", one.source, "\n");
  for (const ModelScore& one : card.scores)
    scores += concat("- ", one.metric, " ", number(one.value), ", ", one.structure, ": ", one.data,
                     ", n = ", one.cases, "\n");
  for (const std::string& one : card.failures) failures += concat("- ", one, "\n");
  for (const SettingDocumentation& one : documentation_of(card.limits)) {
    const bool off = one.value.empty() || (one.value.is_number() && one.value == 0);
    if (!off) limits += concat("- `", one.path, "` = ", one.value.dump(), ": ", one.help, "\n");
  }
  std::string text = concat("# ", model.name, "\n\n", card.title, card.title.empty() ? "" : "\n\n");
  if (model.has_card)
    text += concat("Version ", card.version, ". Research use only: not a medical device.\n\n",
                   "Wants: ", card.input, "\n");
  text += section("Network", stages) + section("Structures", classes.empty() ? "" : classes + "\n") +
          section("Scores", scores) + section("Known failures", failures) +
          section("Training data", training) + section("What it refuses or flags", limits) +
          section("Citation", card.citation.empty() ? "" : card.citation + "\n");
  return text;
}

}  // namespace mambaseg

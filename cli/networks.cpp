#include <charconv>
#include <cstdio>
#include <memory>
#include <sstream>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "mambaseg/nets/layers/unfilled.h"
#include "mambaseg/nets/model/cost.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

struct Options {
  std::string name;
  bool json = false, markdown = false;
  std::string cost_size;
  std::vector<std::string> assignments;
};

/// "JCruan519/VM-UNet VMUNet", for each official class.
std::vector<std::string> official_classes(const NetworkEntry& entry) {
  std::vector<std::string> out;
  for (const OfficialNetwork& one : entry.official)
    out.push_back(concat(one.repository, " ", one.class_name));
  return out;
}

Json brief(const NetworkEntry& entry) {
  return {{"name", entry.name},
          {"dims", entry.dims},
          {"parameters", entry.parameters},
          {"source", entry.source},
          {"official", official_classes(entry)}};
}

/// The file docs/networks.md.
void print_markdown() {
  std::printf(
      "# Networks\n\n`make docs` writes this file from the program; `mambaseg networks NAME` shows the "
      "settings of "
      "one.\nParameters are those at the paper's settings. Weights of the official class can be read by "
      "`mambaseg "
      "convert`,\nand its outputs and gradients are what recorded files compare with.\n\n"
      "| name | dimensions | parameters | what it is | source | official class "
      "|\n|---|---|---|---|---|---|\n");
  for (const NetworkEntry& entry : networks()) {
    std::string dims, classes;
    for (const int d : entry.dims) dims += concat(dims.empty() ? "" : ", ", d);
    for (const std::string& one : official_classes(entry)) classes += (classes.empty() ? "" : "<br>") + one;
    std::printf("| `%s` | %s | %lld | %s | %s | %s |\n", entry.name.c_str(), dims.c_str(),
                static_cast<long long>(entry.parameters), entry.summary.c_str(), entry.source.c_str(),
                classes.empty() ? "none published" : classes.c_str());
  }
}

void print(const Json& json) { std::printf("%s\n", json.dump(2).c_str()); }

void print_list() {
  for (const NetworkEntry& entry : networks())
    std::printf("%-16s %6.1f M parameters  %s\n", entry.name.c_str(), double(entry.parameters) / 1e6,
                entry.summary.c_str());
}

int64_t parameters_of(const NetworkEntry& entry, const Json& settings) {
  const UnfilledWeightsGuard unfilled;
  return parameter_count(*entry.make(settings));
}

/// The paper's settings and what --set changes.
Json settings_of(const NetworkEntry& entry, const Options& options) {
  Json settings = entry.settings();
  for (const std::string& assignment : options.assignments) set_by_path(settings, assignment);
  require_twin(entry, settings);
  return settings;
}

void print_settings(const NetworkEntry& entry, const Json& settings) {
  std::printf("%s: %s\n%s\n", entry.name.c_str(), entry.summary.c_str(), entry.source.c_str());
  for (const std::string& one : official_classes(entry))
    std::printf("equals %s (mambaseg convert reads its weights)\n", one.c_str());
  const int64_t parameters = parameters_of(entry, settings);
  std::printf("%lld trainable parameters at these settings", static_cast<long long>(parameters));
  if (settings.value("without_mamba", false)) {
    Json whole = settings;
    whole["without_mamba"] = false;
    const int64_t of_whole = parameters_of(entry, whole);
    std::printf(", %+.2f %% of the %lld with Mamba",
                100 * (static_cast<double>(parameters) / static_cast<double>(of_whole) - 1),
                static_cast<long long>(of_whole));
  }
  std::printf(":\n\n");
  for (const SettingDocumentation& setting : entry.documentation()) {
    const std::string rule = setting.rule.empty() ? "" : " (" + setting.rule + ")";
    std::printf("  %-24s %-30s %s%s\n", setting.path.c_str(),
                settings.value(setting.path, setting.value).dump().c_str(), setting.help.c_str(),
                rule.c_str());
  }
}

Json with_settings(const NetworkEntry& entry) {
  Json out = brief(entry);
  out["summary"] = entry.summary;
  out["settings"] = Json::array();
  for (const SettingDocumentation& setting : entry.documentation())
    out["settings"].push_back({{"name", setting.path},
                               {"default", setting.value},
                               {"meaning", setting.help},
                               {"rule", setting.rule}});
  return out;
}

/// "128x128x96" as sizes; one number stands for every axis.
Extent sizes_of(const std::string& text, int64_t dims) {
  Extent sizes;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, 'x');) {
    int64_t size = 0;
    const auto read = std::from_chars(word.data(), word.data() + word.size(), size);
    if (read.ec != std::errc() || read.ptr != word.data() + word.size() || size < 1)
      throw UsageError(concat("--cost: expected sizes as 128x128x96, got ", text));
    sizes.push_back(size);
  }
  if (sizes.size() == 1) sizes.resize(static_cast<size_t>(dims), sizes[0]);
  return sizes;
}

Json cost(const NetworkEntry& entry, const Options& options) {
  Json settings = settings_of(entry, options);
  const Extent sizes = sizes_of(options.cost_size, settings.value("dims", int64_t{entry.dims.front()}));
  if (settings.contains("dims") && sizes.size() > 1) settings["dims"] = sizes.size();
  Json config = settings;
  config["name"] = entry.name;
  const NetworkCost cost = cost_of(config, sizes);
  return {{"name", entry.name},
          {"settings", settings},
          {"size", sizes},
          {"parameters", cost.parameters},
          {"multiply_adds", cost.operations.multiply_adds},
          {"state_updates", cost.operations.state_updates}};
}

void print_cost(const Json& cost) {
  std::printf("%s, one image of", cost["name"].get<std::string>().c_str());
  const char* before = " ";
  for (const int64_t size : cost["size"].get<Extent>()) {
    std::printf("%s%lld", before, static_cast<long long>(size));
    before = " x ";
  }
  std::printf(":\n%12.3f M parameters\n%12.3f G multiply-adds of convolutions and matrix products\n",
              cost["parameters"].get<double>() / 1e6, cost["multiply_adds"].get<double>() / 1e9);
  std::printf("%12.3f G state updates of selective scans\n", cost["state_updates"].get<double>() / 1e9);
}

void run(const Options& options) {
  if (options.name.empty() && !options.cost_size.empty())
    throw UsageError("--cost: expected the name of a network before it");
  if (options.name.empty()) {
    if (options.markdown) return print_markdown();
    if (!options.json) return print_list();
    Json list = Json::array();
    for (const NetworkEntry& entry : networks()) list.push_back(brief(entry));
    return print(list);
  }
  const NetworkEntry& entry = find_network(options.name);
  if (!options.cost_size.empty()) {
    const Json found = cost(entry, options);
    return options.json ? print(found) : print_cost(found);
  }
  if (options.json) return print(with_settings(entry));
  print_settings(entry, settings_of(entry, options));
}

}  // namespace

void declare_networks(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("name", options->name, "Network whose settings are shown; without it all are listed");
  command.add_flag("--json", options->json, "Print JSON");
  command.add_flag("--markdown", options->markdown, "Print the list as docs/networks.md has it");
  command.add_option("--cost", options->cost_size,
                     "Count what one image of this size costs (128x128x96; 128 along every axis)");
  declare_assignments(command, options->assignments,
                      "Change a setting of the network that is shown or counted");
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg

#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {
namespace {

struct Options {
  std::string name;
  bool json = false, markdown = false;
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

void print_settings(const NetworkEntry& entry) {
  std::printf("%s: %s\n%s\n", entry.name.c_str(), entry.summary.c_str(), entry.source.c_str());
  for (const std::string& one : official_classes(entry))
    std::printf("equals %s (mambaseg convert reads its weights)\n", one.c_str());
  std::printf("%lld trainable parameters at these settings:\n\n", static_cast<long long>(entry.parameters));
  for (const SettingDocumentation& setting : entry.documentation()) {
    const std::string rule = setting.rule.empty() ? "" : " (" + setting.rule + ")";
    std::printf("  %-24s %-30s %s%s\n", setting.path.c_str(), setting.value.dump().c_str(),
                setting.help.c_str(), rule.c_str());
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

void run(const Options& options) {
  if (options.name.empty()) {
    if (options.markdown) return print_markdown();
    if (!options.json) return print_list();
    Json list = Json::array();
    for (const NetworkEntry& entry : networks()) list.push_back(brief(entry));
    return print(list);
  }
  const NetworkEntry& entry = find_network(options.name);
  if (options.json) return print(with_settings(entry));
  print_settings(entry);
}

}  // namespace

void declare_networks(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("name", options->name, "Network whose settings are shown; without it all are listed");
  command.add_flag("--json", options->json, "Print JSON");
  command.add_flag("--markdown", options->markdown, "Print the list as docs/networks.md has it");
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg

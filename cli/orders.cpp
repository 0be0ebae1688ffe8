#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "mambaseg/config/config.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/report/walks_page.h"

namespace mambaseg {
namespace {

struct Options {
  std::string name, picture;
  bool json = false;
};

constexpr TokenGrid kPlane{1, 4, 6}, kVolume{3, 4, 5};

const TokenGrid& grid_of(const ScanOrderFamily& family) { return family.planar ? kPlane : kVolume; }

std::vector<const ScanOrderFamily*> chosen(const std::string& name) {
  std::vector<const ScanOrderFamily*> out;
  for (const ScanOrderFamily& family : scan_order_families())
    if (name.empty() || family.name == name) out.push_back(&family);
  if (out.empty()) throw UsageError(concat("no scan order ", name, "; mambaseg orders lists them"));
  return out;
}

Json json_of(const ScanOrderFamily& family) {
  Json out{{"name", family.name},     {"planar", family.planar}, {"orientations", family.orientations},
           {"source", family.source}, {"grid", grid_of(family)}, {"walks", Json::array()}};
  for (int orientation = 0; orientation < family.orientations; ++orientation)
    out["walks"].push_back(family.make(grid_of(family), orientation));
  return out;
}

void run(const Options& options) {
  const auto families = chosen(options.name);
  if (!options.picture.empty()) {
    write_file_atomically(options.picture, walks_page(families, kPlane, kVolume));
    std::fprintf(stderr, "%s: the walks of %zu families\n", options.picture.c_str(), families.size());
  }
  if (options.json) {
    Json list = Json::array();
    for (const ScanOrderFamily* family : families) list.push_back(json_of(*family));
    std::printf("%s\n", list.dump(options.name.empty() ? 2 : -1).c_str());
  } else if (options.picture.empty()) {
    for (const ScanOrderFamily* family : families)
      std::printf("%-18s %-6s %zu walks, %d orientation%s  %s\n", family->name.c_str(),
                  family->planar ? "2-D" : "3-D", family->make(grid_of(*family), 0).size(),
                  family->orientations, family->orientations == 1 ? " " : "s", family->source.c_str());
  }
}

}  // namespace

void declare_orders(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("name", options->name, "Only this family of walks; without it all");
  command.add_option("--picture", options->picture, "Draw every walk on a small grid into this page (HTML)");
  command.add_flag("--json", options->json, "Print JSON, with the tokens of every walk on a small grid");
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg

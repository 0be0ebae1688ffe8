// The group level of BidsDerivatives: one table over all images, and a page that shows it.
#include <filesystem>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/report/html.h"
#include "mambaseg/segment/bids_derivatives.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// Names of structures, in the order in which the images bring them.
std::vector<std::string> structures_of(const std::vector<Json>& sidecars) {
  std::vector<std::string> names;
  std::set<std::string> known;
  for (const Json& sidecar : sidecars)
    for (const Json& one : sidecar.value("structures", Json::array()))
      if (const auto name = one.at("name").get<std::string>(); known.insert(name).second)
        names.push_back(name);
  return names;
}

std::string measure(const Json& sidecar, const std::string& structure, const char* key) {
  for (const Json& one : sidecar.value("structures", Json::array()))
    if (one.at("name") == structure) return number_in(one, key, 8);
  return "";
}

}  // namespace

std::string BidsDerivatives::why_not(const BidsImage& image) const {
  const std::string log = failure(image);
  if (!fs::exists(log)) return "not segmented yet";
  const std::string text = whole_file(log);
  return "failed: " + text.substr(0, text.find('\n'));
}

size_t BidsDerivatives::write_group(const std::vector<BidsImage>& images) const {
  std::vector<Json> sidecars;
  for (const BidsImage& image : images)
    sidecars.push_back(is_done(image) ? read_json(sidecar(image)) : Json::object());
  const std::vector<std::string> structures = structures_of(sidecars);
  const std::vector<std::pair<const char*, const char*>> measures{{"mm3", "_mm3"},
                                                                  {"agreement", "_agreement"}};
  std::vector<std::string> header{"participant_id", "session_id", "image",
                                  "model_version",  "look_at",    "quality"};
  for (const auto& [key, ending] : measures)
    for (const std::string& name : structures) header.push_back(name + ending);
  std::string table = bids_line(header);
  std::vector<std::vector<std::string>> shown;
  size_t done = 0;
  for (size_t i = 0; i < images.size(); ++i) {
    const BidsImage& image = images[i];
    const Json& sidecar = sidecars[i];
    const bool has_labels = !sidecar.empty();
    const std::string look_at = has_labels ? joined_flags(sidecar) : why_not(image);
    std::vector<std::string> row{
        image.participant, image.session,
        image.name(),      has_labels ? sidecar.at("model_version").get<std::string>() : "",
        look_at,           number_in(sidecar, "quality", 4)};
    for (const auto& [key, ending] : measures)
      for (const std::string& name : structures) row.push_back(measure(sidecar, name, key));
    table += bids_line(row);
    const std::string link = html_text(fs::path(page(image)).filename().string());
    shown.push_back({has_labels ? concat("<a href=\"", link, "\">", html_text(image.name()), "</a>")
                                : html_text(image.name()),
                     html_text(look_at), row[5]});
    if (has_labels) ++done;
  }
  const std::string body = concat("<h1>Segmented participants</h1><p class=\"soft\">", done, " of ",
                                  images.size(), " images have labels by the model ", html_text(by_.model),
                                  ". Volumes: ", html_text(fs::path(group_table()).filename().string()),
                                  ". Research use only: not a medical device.</p>\n",
                                  html_table({"image", "look at", "quality"}, shown));
  write_file_atomically(group_table(), table);
  write_file_atomically(group_page(), html_page("Segmented participants", body));
  return done;
}

}  // namespace mambaseg

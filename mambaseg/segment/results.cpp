#include "mambaseg/segment/results.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/report/files.h"
#include "mambaseg/report/html.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMark = "mambaseg_segment";  // key that tells sidecars from other JSON files

/// Tabs and line ends would end a cell.
std::string cell(std::string text) {
  for (char& c : text)
    if (c == '\t' || c == '\n' || c == '\r') c = ' ';
  return text;
}

std::string flags_html(const Json& sidecar) {
  if (sidecar.at("flags").empty()) return "";
  std::string html = "<div class=\"warn\"><b>Look at this one</b>";
  for (const Json& flag : sidecar.at("flags")) html += "<p>" + html_text(flag.get<std::string>()) + "</p>";
  return html + "</div>\n";
}

std::string structures_html(const Json& sidecar, bool volumes) {
  std::vector<std::string> header{"structure", "number"};
  if (volumes)
    header.emplace_back("ml");
  else
    header.insert(header.end(), {"pixels", "% of the picture"});
  const bool judged = sidecar.contains("quality") && !sidecar["quality"].is_null();
  if (judged) header.emplace_back("agreement");
  std::vector<std::vector<std::string>> rows;
  for (const Json& one : sidecar.at("structures")) {
    std::vector<std::string> row{html_text(one.at("name").get<std::string>()), one.at("id").dump()};
    if (volumes)
      row.push_back(short_number(one.at("mm3").get<double>() / 1000, 4));
    else
      row.insert(row.end(), {one.at("pixels").dump(), number_in(one, "percent", 3)});
    if (judged) row.push_back(number_in(one, "agreement", 3));
    rows.push_back(std::move(row));
  }
  return html_table(header, rows);
}

constexpr const char* kAgreementNote =
    "Agreement: Dice of the labels with those of a second look, at the mirrored image. A low one says that "
    "the model is not sure; a high one does not say that it is right.";

std::string made_by(const Json& sidecar) {
  return concat("<p class=\"soft\">", html_text(sidecar.at("image").get<std::string>()), ", model ",
                html_text(sidecar.at("model").get<std::string>()), " ",
                html_text(sidecar.at("model_version").get<std::string>()),
                ". Research use only: not a medical device.</p>\n");
}

}  // namespace

std::string joined_flags(const Json& sidecar) {
  std::string text;
  for (const Json& flag : sidecar.at("flags")) text += (text.empty() ? "" : "; ") + flag.get<std::string>();
  return text;
}

std::string number_in(const Json& object, const char* key, int digits) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? "" : short_number(found->get<double>(), digits);
}

Json sidecar_json(const SegmentedBy& by, const std::string& task, const std::string& image_path,
                  const Findings& findings, double seconds, bool quick) {
  Json json{{kMark, by.version},
            {"model", by.model},
            {"model_version", by.model_version},
            {"image", image_path},
            {"quick", quick},
            {"seconds", std::round(seconds * 10) / 10},
            {"flags", findings.flags},
            {"look_at_this_one", !findings.flags.empty()},
            {"structures", Json::array()}};
  const auto quality = findings.quality();
  json["quality"] = quality ? Json(*quality) : Json();
  for (const StructureFinding& one : findings.structures) {
    Json entry{{"id", one.id}, {"name", one.name}};
    if (task == "volumes")
      entry.update({{"voxels", one.voxels}, {"mm3", one.mm3}});
    else
      entry.update({{"pixels", one.voxels}, {"percent", one.percent}});
    entry["agreement"] = one.agreement ? Json(*one.agreement) : Json();
    json["structures"].push_back(entry);
  }
  return json;
}

std::string summary_line(const std::string& name, const Json& sidecar) {
  std::string line = concat(name, ": ", readable_duration(sidecar.at("seconds").get<double>()));
  for (const Json& flag : sidecar.at("flags"))
    line += concat("\n  look at this one: ", flag.get<std::string>());
  return line;
}

SegmentedFolder::SegmentedFolder(std::string folder, std::string task, const ModelInBox& model,
                                 std::string version)
    : folder_(std::move(folder)),
      task_(std::move(task)),
      by_{model.name, model.card.version, std::move(version)} {
  read();
}

void SegmentedFolder::read() {
  done_.clear();
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder_, failed)) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() != ".json" || !is_done(name)) continue;
    const Json sidecar = Json::parse(whole_file(entry.path().string()), nullptr, /*allow_exceptions=*/false);
    if (sidecar.is_object() && sidecar.contains(kMark) && sidecar.value("model", "") == by_.model &&
        sidecar.value("model_version", "") == by_.model_version)
      done_[name] = sidecar;
  }
}

std::string SegmentedFolder::path(const std::string& file) const {
  return (fs::path(folder_) / file).string();
}
std::string SegmentedFolder::labels(const std::string& name) const {
  return path(name + (volumes() ? ".nii.gz" : ".png"));
}
std::string SegmentedFolder::overlay(const std::string& name) const {
  return path("overlay/" + name + ".png");
}
std::string SegmentedFolder::page(const std::string& name) const { return path(name + ".html"); }
std::string SegmentedFolder::stats(const std::string& name) const { return path(name + ".aseg.stats"); }
std::string SegmentedFolder::sidecar(const std::string& name) const { return path(name + ".json"); }
std::string SegmentedFolder::table() const { return path(volumes() ? "volumes.tsv" : "areas.tsv"); }
std::string SegmentedFolder::index() const { return path("index.html"); }

std::vector<Output> SegmentedFolder::outputs(const std::string& name) const {
  std::vector<Output> outputs{{labels(name), "the labels of " + name},
                              {overlay(name), "the overlay of " + name},
                              {sidecar(name), "the sidecar of " + name}};
  if (volumes()) {
    outputs.push_back({page(name), "the page of " + name});
    outputs.push_back({stats(name), "the volumes of " + name});
  }
  return outputs;
}

bool SegmentedFolder::is_done(const std::string& name) const { return fs::exists(labels(name)); }

Json SegmentedFolder::sidecar_json(const std::string& image_path, const Findings& findings, double seconds,
                                   bool quick) const {
  return mambaseg::sidecar_json(by_, task_, image_path, findings, seconds, quick);
}

void SegmentedFolder::write_sidecar(const std::string& name, const Json& json) const {
  write_file_atomically(sidecar(name), json.dump(2) + "\n");
}

void SegmentedFolder::add(const std::string& name, const Json& json) { done_[name] = json; }

void SegmentedFolder::refuse(const std::string& name, const std::string& why) { refused_[name] = why; }

int64_t SegmentedFolder::flagged() const {
  return std::count_if(done_.begin(), done_.end(),
                       [](const auto& one) { return !one.second.at("flags").empty(); });
}

std::string SegmentedFolder::table_text() const {
  const std::vector<const char*> measures = volumes()
                                                ? std::vector<const char*>{"mm3", "agreement"}
                                                : std::vector<const char*>{"pixels", "percent", "agreement"};
  std::vector<std::string> names;
  for (const auto& [name, sidecar] : done_)
    for (const Json& one : sidecar.at("structures")) {
      const auto structure = one.at("name").get<std::string>();
      if (std::find(names.begin(), names.end(), structure) == names.end()) names.push_back(structure);
    }
  std::string text = "image\tlook_at\tquality";
  for (const char* measure : measures)
    for (const std::string& name : names) text += concat("\t", cell(name), "_", measure);
  text += "\n";
  for (const auto& [name, sidecar] : done_) {
    text += concat(cell(name), "\t", cell(joined_flags(sidecar)), "\t", number_in(sidecar, "quality", 4));
    for (const char* measure : measures)
      for (const std::string& structure : names) {
        text += "\t";
        for (const Json& one : sidecar.at("structures"))
          if (one.at("name") == structure) text += number_in(one, measure, 8);
      }
    text += "\n";
  }
  for (const auto& [name, why] : refused_)
    if (!done_.contains(name))
      text += concat(cell(name), "\trefused: ", cell(why),
                     std::string(1 + measures.size() * names.size(), '\t'), "\n");
  return text;
}

std::string SegmentedFolder::index_html() const {
  const auto figure = [&](const std::string& name, const Json& sidecar) {
    const std::string file = html_text("overlay/" + name + ".png");
    const std::string link = volumes() ? html_text(name + ".html") : file;
    std::string caption = html_text(name);
    for (const Json& one : sidecar.at("structures"))
      if (!volumes())
        caption += concat(", ", html_text(one.at("name").get<std::string>()), " ",
                          number_in(one, "percent", 3), " %");
    return concat("<figure><a href=\"", link, "\"><img loading=\"lazy\" src=\"", file, "\" alt=\"",
                  html_text(name), "\"></a><figcaption>", caption, flags_html(sidecar),
                  "</figcaption></figure>\n");
  };
  std::string flagged, others, refused;
  for (const auto& [name, sidecar] : done_)
    (sidecar.at("flags").empty() ? others : flagged) += figure(name, sidecar);
  for (const auto& [name, why] : refused_)
    if (!done_.contains(name)) refused += concat("<p>", html_text(name), ": ", html_text(why), "</p>\n");
  const auto grid = [](const std::string& figures) { return "<div class=\"plots\">" + figures + "</div>\n"; };
  std::string body = concat("<h1>Segmented images</h1><p class=\"soft\">", done_.size(), " images, model ",
                            html_text(by_.model), " ", html_text(by_.model_version),
                            ". Research use only: not a medical device.</p>\n");
  if (!flagged.empty()) body += html_section("Look at these", "", grid(flagged));
  if (!refused.empty()) body += html_section("Not segmented", "", refused);
  if (!others.empty()) body += html_section("Nothing conspicuous", "", grid(others));
  return html_page("Segmented images", body);
}

void SegmentedFolder::write_overview() const {
  write_file_atomically(table(), table_text());
  write_file_atomically(index(), index_html());
}

std::string volume_page(const std::string& name, const Json& sidecar, const std::string& overlay) {
  const std::string figure = concat("<figure>", html_png(overlay, "Three planes of " + name), "</figure>\n");
  const std::string body = concat(
      "<h1>", html_text(name), "</h1>\n", made_by(sidecar), flags_html(sidecar),
      html_section("Labels", "Planes through the slices with most of them. R and L are the patient's sides.",
                   figure),
      html_section("Volumes", sidecar.at("quality").is_null() ? "" : kAgreementNote,
                   structures_html(sidecar, true)));
  return html_page(name, body);
}

}  // namespace mambaseg

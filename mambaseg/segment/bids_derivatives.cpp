#include "mambaseg/segment/bids_derivatives.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/report/files.h"
#include "mambaseg/report/palette.h"
#include "mambaseg/segment/volume_files.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProgram = "mambaseg";

/// Labels of BIDS are letters and digits.
std::string bids_label(const std::string& name) {
  std::string label;
  for (const char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) label += c;
  return label;
}

std::string hex(const Colour& colour) {
  std::string text = "#";
  for (const uint8_t part : colour)
    for (const int digit : {part >> 4, part & 15}) text += "0123456789abcdef"[digit];
  return text;
}

void write_json(const std::string& path, const Json& json) {
  write_file_atomically(path, json.dump(2) + "\n");
}

bool is_ours(const Json& description) {
  const Json makers = description.is_object() ? description.value("GeneratedBy", Json::array()) : Json();
  return std::any_of(makers.begin(), makers.end(),
                     [](const Json& one) { return one.is_object() && one.value("Name", "") == kProgram; });
}

}  // namespace

std::string bids_line(const std::vector<std::string>& cells) {
  std::string line;
  for (const std::string& cell : cells) {
    if (!line.empty()) line += '\t';
    for (const char c : cell.empty() ? "n/a" : cell) line += c == '\t' || c == '\n' || c == '\r' ? ' ' : c;
  }
  return line + "\n";
}

BidsDerivatives::BidsDerivatives(std::string dataset, std::string output, const ModelInBox& model,
                                 const std::string& version)
    : dataset_(std::move(dataset)),
      output_(std::move(output)),
      desc_("desc-" + bids_label(model.name)),
      by_{model.name, model.card.version, version} {
  std::error_code failed;
  require(!fs::equivalent(dataset_, output_, failed), output_,
          ": expected another folder for the outputs than the data set");
  if (fs::exists(at_top("dataset_description.json")))
    require(is_ours(read_json(at_top("dataset_description.json"))), output_,
            " is a data set that another program made (GeneratedBy in its dataset_description.json); "
            "expected a folder for mambaseg alone");
}

std::string BidsDerivatives::at_top(const std::string& file) const {
  return (fs::path(output_) / file).string();
}
std::string BidsDerivatives::beside(const BidsImage& image, const std::string& ending) const {
  return at_top(image.folder() + "/" + image.entities + "_" + desc_ + "_" + ending);
}
std::string BidsDerivatives::labels(const BidsImage& image) const { return beside(image, "dseg.nii.gz"); }
std::string BidsDerivatives::sidecar(const BidsImage& image) const { return beside(image, "dseg.json"); }
std::string BidsDerivatives::volumes(const BidsImage& image) const { return beside(image, "morph.tsv"); }
std::string BidsDerivatives::figure(const BidsImage& image) const {
  return at_top(image.participant + "/figures/" + image.entities + "_" + desc_ + "_dseg.png");
}
std::string BidsDerivatives::page(const BidsImage& image) const {
  return at_top(image.entities + "_" + desc_ + ".html");
}
std::string BidsDerivatives::failure(const BidsImage& image) const {
  return at_top("logs/" + image.entities + "_" + desc_ + ".txt");
}
std::string BidsDerivatives::group_table() const { return at_top("group_" + desc_ + "_morph.tsv"); }
std::string BidsDerivatives::group_page() const { return at_top("group_" + desc_ + ".html"); }

std::vector<Output> BidsDerivatives::outputs(const BidsImage& image) const {
  const std::string of = " of " + image.name();
  return {{labels(image), "the labels" + of},   {sidecar(image), "the sidecar" + of},
          {volumes(image), "the volumes" + of}, {figure(image), "the figure" + of},
          {page(image), "the page" + of},       {failure(image), "the log" + of}};
}

bool BidsDerivatives::is_done(const BidsImage& image) const { return fs::exists(labels(image)); }

void BidsDerivatives::write_top(const Json& source, const std::vector<LabelClass>& classes) const {
  Json description{{"Name", "Segmentations by mambaseg"},
                   {"BIDSVersion", "1.10.0"},
                   {"DatasetType", "derivative"},
                   {"GeneratedBy", {{{"Name", kProgram}, {"Version", by_.version}}}},
                   {"DatasetLinks", {{"raw", fs::proximate(dataset_, output_).string()}}}};
  if (source.contains("DatasetDOI")) description["SourceDatasets"] = {{{"DOI", source["DatasetDOI"]}}};
  write_json(at_top("dataset_description.json"), description);
  write_file_atomically(
      at_top("README.md"),
      "# Segmentations by mambaseg\n\n"
      "`*_dseg.nii.gz`: labels on the grid of the image; `*_dseg.tsv`: what the numbers mean.\n"
      "`*_morph.tsv`: volumes. `*_dseg.json`: what to look at, under `flags`. `logs/`: images "
      "without labels, and why.\nResearch use only: not a medical device.\n");
  write_file_atomically(at_top(".bidsignore"), "*.html\n*_morph.*\nfigures\ngroup_*\nlogs\n");
  const Palette palette(numbers_of(classes));
  std::string table = bids_line({"index", "name", "color"});
  for (const LabelClass& one : classes)
    table += bids_line(
        {std::to_string(one.ids.at(0)), one.name, hex(palette.colour(static_cast<int32_t>(one.ids.at(0))))});
  write_file_atomically(at_top(desc_ + "_dseg.tsv"), table);
  write_json(
      at_top(desc_ + "_morph.json"),
      {{"index", {{"Description", "Number of the structure in the labels"}}},
       {"name", {{"Description", "Name of the structure"}}},
       {"voxels", {{"Description", "How many voxels bear the number"}}},
       {"volume", {{"Description", "Their volume"}, {"Units", "mm^3"}}},
       {"agreement",
        {{"Description", "Dice with the labels of a second look, at the mirrored image; n/a: none"}}}});
}

Json BidsDerivatives::sidecar_of(const BidsImage& image, const Findings& findings, double seconds,
                                 bool quick) const {
  const std::string source = image.folder() + "/" + fs::path(image.path).filename().string();
  Json sidecar{{"Description", "Labels by the model " + by_.model + ", on the grid of the image"},
               {"Sources", {"bids:raw:" + source}},
               {"SpatialReference", "bids:raw:" + source},
               {"Manual", false}};
  sidecar.update(sidecar_json(by_, "volumes", source, findings, seconds, quick));
  return sidecar;
}

void BidsDerivatives::write_findings(const BidsImage& image, const Json& sidecar_content) const {
  std::string table = bids_line({"index", "name", "voxels", "volume", "agreement"});
  for (const Json& one : sidecar_content.at("structures"))
    table += bids_line({one.at("id").dump(), one.at("name").get<std::string>(), one.at("voxels").dump(),
                        short_number(one.at("mm3").get<double>(), 8), number_in(one, "agreement", 6)});
  write_file_atomically(volumes(image), table);
  write_file_atomically(page(image), volume_page(image.name(), sidecar_content, figure(image)));
  write_json(sidecar(image), sidecar_content);
}

void BidsDerivatives::write_failure(const BidsImage& image, const std::string& why) const {
  write_file_atomically(failure(image), why + "\n");
}

}  // namespace mambaseg

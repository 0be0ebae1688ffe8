#include "mambaseg/report/kept_scores.h"

#include <sys/stat.h>

#include <cmath>
#include <filesystem>

#include "mambaseg/config/config.h"
#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/io/atomic_file.h"

namespace mambaseg {
namespace {

/// JSON has no infinite numbers.
Json json_of(const std::optional<double>& value) {
  if (!value) return {};
  return std::isfinite(*value) ? Json(*value) : Json(std::to_string(*value));
}

std::optional<double> value_of(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return json.is_string() ? std::stod(json.get<std::string>()) : json.get<double>();
}

}  // namespace

std::string stamp_of(const CasePair& files, const std::string& settings) {
  std::string stamp = settings;
  for (const std::string& path : {files.reference, files.prediction}) {
    struct stat status {};
    require(::stat(path.c_str(), &status) == 0, path, ": no such file");
    stamp += concat("|", std::filesystem::path(path).filename().string(), " ", status.st_size, " ",
                    status.st_mtim.tv_sec, ".", status.st_mtim.tv_nsec);
  }
  return stamp;
}

void write_scored_case(const std::string& path, const ScoredCase& one, const std::string& stamp) {
  Json labels = Json::array();
  for (const LabelScores& label : one.labels) {
    Json values = Json::array();
    for (const auto& value : label.values) values.push_back(json_of(value));
    labels.push_back({{"label", label.label},
                      {"presence", static_cast<int>(label.presence)},
                      {"counts", {label.counts.tp, label.counts.fp, label.counts.fn, label.counts.tn}},
                      {"values", values}});
  }
  const Json json{{"stamp", stamp},
                  {"found", one.found},
                  {"voxels", one.voxels},
                  {"voxel_volume_mm3", one.voxel_volume_mm3},
                  {"labels", labels}};
  write_file_atomically(path, json.dump() + "\n");
}

std::optional<ScoredCase> read_scored_case(const std::string& path, const std::string& stamp) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const Json json = Json::parse(whole_file(path), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("stamp", "") != stamp) return std::nullopt;
  ScoredCase one;
  one.found = json.at("found").get<std::vector<int32_t>>();
  one.voxels = json.at("voxels").get<int64_t>();
  one.voxel_volume_mm3 = json.at("voxel_volume_mm3").get<double>();
  for (const Json& entry : json.at("labels")) {
    LabelScores label;
    label.label = entry.at("label").get<int32_t>();
    label.presence = static_cast<Presence>(entry.at("presence").get<int>());
    const auto counts = entry.at("counts").get<std::vector<int64_t>>();
    label.counts = {counts.at(0), counts.at(1), counts.at(2), counts.at(3)};
    for (const Json& value : entry.at("values")) label.values.push_back(value_of(value));
    one.labels.push_back(std::move(label));
  }
  return one;
}

}  // namespace mambaseg

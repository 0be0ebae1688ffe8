#pragma once

#include <map>
#include <string>
#include <vector>

#include "mambaseg/config/config.h"
#include "mambaseg/io/outputs.h"
#include "mambaseg/models/registry.h"
#include "mambaseg/segment/findings.h"

namespace mambaseg {

/// What made labels.
struct SegmentedBy {
  std::string model, model_version;
  std::string version;  ///< of the program
};

/// What a sidecar says of the labels of an image; `task`: "volumes" or "pictures", `seconds`: the network and
/// all else took.
Json sidecar_json(const SegmentedBy& by, const std::string& task, const std::string& image_path,
                  const Findings& findings, double seconds, bool quick);
/// "NAME: 32.1 s", and what is conspicuous.
std::string summary_line(const std::string& name, const Json& sidecar);
/// The flags of a sidecar in one line.
std::string joined_flags(const Json& sidecar);
/// The number under a key with at most so many digits; "" where there is none.
std::string number_in(const Json& object, const char* key, int digits = 6);

/// The folder that `segment` writes into: names of its files, and what is known of the images in it.
class SegmentedFolder {
 public:
  /// Reads the sidecar files (NAME.json) of this model that are there beside their labels.
  SegmentedFolder(std::string folder, std::string task, const ModelInBox& model, std::string version);

  std::string labels(const std::string& name) const;  ///< NAME.nii.gz, or the mask NAME.png
  std::string overlay(const std::string& name) const;
  std::string page(const std::string& name) const;
  std::string stats(const std::string& name) const;
  std::string sidecar(const std::string& name) const;
  std::string table() const;
  std::string index() const;
  /// Reads the sidecar files anew: other workers may have written some.
  void read();
  /// Every file that an image has.
  std::vector<Output> outputs(const std::string& name) const;

  /// Labels are written last, so whoever has them has everything; they may be of another origin.
  bool is_done(const std::string& name) const;
  /// Labels of this model, in this version.
  bool knows(const std::string& name) const { return done_.contains(name); }

  /// What NAME.json says.
  Json sidecar_json(const std::string& image_path, const Findings& findings, double seconds,
                    bool quick) const;
  void write_sidecar(const std::string& name, const Json& sidecar) const;
  /// An image whose files are there.
  void add(const std::string& name, const Json& sidecar);
  /// An image that gets no labels, for the table. The next call tries it again.
  void refuse(const std::string& name, const std::string& why);

  /// The table and index.html of all images.
  void write_overview() const;

  /// Images that somebody should look at, refused ones left out.
  int64_t flagged() const;

 private:
  bool volumes() const { return task_ == "volumes"; }
  std::string path(const std::string& file) const;
  std::string table_text() const;
  std::string index_html() const;

  std::string folder_, task_;
  SegmentedBy by_;
  std::map<std::string, Json> done_;
  std::map<std::string, std::string> refused_;
};

/// NAME.html of a volume: three planes (the PNG file `overlay`), volumes, flags.
std::string volume_page(const std::string& name, const Json& sidecar, const std::string& overlay);

}  // namespace mambaseg

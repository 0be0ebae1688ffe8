#pragma once

#include <string>
#include <vector>

namespace mambaseg {

/// A file that a command is going to write.
struct Output {
  std::string path;
  std::string what;  ///< for messages: "the labels of case_7"
};

/// Throws UsageError, before anything is written, when an output would replace an input or another output, or
/// lie among inputs: `inputs` are files, and folders whose own files are the inputs. Links, relative names
/// and second names of a file are seen through.
void check_outputs(const std::vector<std::string>& inputs, const std::vector<Output>& outputs);

/// check_outputs, and makes the folders of the outputs.
void prepare_outputs(const std::vector<std::string>& inputs, const std::vector<Output>& outputs);

/// Whether the output of one image is a file, which `can_write` says of a name that can be written; else it
/// is a folder: one that is there, or a name without ending or with / at its end. UsageError with the
/// `endings` that can be written when the name is that of some other file.
bool names_file(const std::string& output, bool can_write, const std::string& endings);
/// names_file for labels of a volume.
bool names_volume_file(const std::string& output);

}  // namespace mambaseg

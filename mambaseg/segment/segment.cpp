#include "mambaseg/segment/segment.h"

#include <algorithm>
#include <variant>

#include "mambaseg/core/clock.h"
#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/core/workers.h"
#include "mambaseg/infer/cause_of_failure.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/case_failures.h"
#include "mambaseg/io/cohort.h"
#include "mambaseg/io/labels_with_comment.h"
#include "mambaseg/ops/device_memory.h"
#include "mambaseg/ops/implementation.h"
#include "mambaseg/report/files.h"
#include "mambaseg/segment/inputs.h"
#include "mambaseg/segment/picture_segmenter.h"
#include "mambaseg/segment/results.h"
#include "mambaseg/segment/volume_files.h"
#include "mambaseg/segment/volume_segmenter.h"

namespace mambaseg {
namespace {

/// An image that was read ahead, or why it could not be.
template <class Input>
struct ReadAhead {
  std::optional<Input> input;
  std::vector<std::string> warnings;
  std::string problem;
  std::shared_ptr<Claim> claim;
  bool of_another = false;  ///< another worker has it
};

/// The two kinds of images: how one is read, and how it goes from there to files.
class Volumes {
 public:
  using Input = Image;
  Volumes(const ModelInBox& model, const SegmentRequest& request)
      : segmenter_(model, predictor_settings(request)) {}

  static Input read(const std::string& path, const Warn& warn) { return read_image(path, warn); }

  /// Writes all files of the image, its labels last; returns what the sidecar says.
  Json segment(const Input& image, const ImageToSegment& one, const SegmentedFolder& folder, bool quick,
               const Listeners& listeners) {
    const auto start = Clock::now();
    SegmentedVolume found = segmenter_.run(image, !quick, listeners.progress, listeners.warn, listeners.note);
    const std::string labels = folder.labels(one.name);
    std::vector<StructureVolume> volumes;
    for (const StructureFinding& structure : found.findings.structures)
      volumes.push_back({structure.id, structure.name, structure.voxels});
    write_file_atomically(folder.stats(one.name),
                          aseg_stats(one.name, labels, found.labels.geometry.voxel_volume_mm3(), volumes));
    draw_labels(folder.overlay(one.name), image, found.labels, segmenter_.classes());
    Json sidecar = folder.sidecar_json(one.path, found.findings, seconds_since(start), quick);
    write_file_atomically(folder.page(one.name), volume_page(one.name, sidecar, folder.overlay(one.name)));
    folder.write_sidecar(one.name, sidecar);
    write_labels_with_comment(labels, found.labels, names_of_numbers(segmenter_.classes()));
    return sidecar;
  }

 private:
  VolumeSegmenter segmenter_;
};

class Pictures {
 public:
  using Input = Picture;
  Pictures(const ModelInBox& model, const SegmentRequest& request)
      : segmenter_(model, request.device, request.precision) {}

  static Input read(const std::string& path, const Warn&) { return read_picture(path); }

  Json segment(const Input& picture, const ImageToSegment& one, const SegmentedFolder& folder, bool quick,
               const Listeners& listeners) {
    const auto start = Clock::now();
    const SegmentedPicture found = segmenter_.run(picture, !quick, listeners.note);
    write_picture(folder.overlay(one.name), found.overlay);
    Json sidecar = folder.sidecar_json(one.path, found.findings, seconds_since(start), quick);
    folder.write_sidecar(one.name, sidecar);
    write_picture(folder.labels(one.name), found.mask);
    return sidecar;
  }

 private:
  PictureSegmenter segmenter_;
};

/// Segments the images with the numbers `todo`, the next one being read meanwhile; what fails is noted in
/// `failures` and the folder, and what other workers have is left to them.
template <class Kind>
void segment_each(Kind& kind, const std::vector<ImageToSegment>& images, const std::vector<size_t>& todo,
                  const SegmentRequest& request, const Listeners& listeners, SegmentedFolder& folder,
                  Cohort& cohort, CaseFailures& failures) {
  using Ahead = ReadAhead<typename Kind::Input>;
  const auto count = static_cast<int64_t>(todo.size());
  const auto read = [&](int64_t i) {
    Ahead ahead;
    const size_t number = todo[static_cast<size_t>(i)];
    const ImageToSegment& one = images[number];
    try {
      ahead.claim = cohort.claim(number, [&] { return !request.overwrite && folder.is_done(one.name); });
      ahead.of_another = !ahead.claim;
      if (ahead.of_another) return ahead;
      ahead.input = Kind::read(one.path, [&](const std::string& line) { ahead.warnings.push_back(line); });
    } catch (const std::exception& error) {
      ahead.problem = error.what();
    }
    return ahead;
  };
  ResultStream<Ahead> stream(count, Workers(1), read, {}, {}, 1);  // one is in work and one waits
  const auto start = Clock::now();
  for (int64_t i = 0; i < count; ++i) {
    const ImageToSegment& one = images[todo[static_cast<size_t>(i)]];
    Ahead ahead = stream.next();
    if (ahead.of_another) continue;
    const double left =
        i == 0 ? 0 : seconds_since(start) / static_cast<double>(i) * static_cast<double>(count - i);
    std::string what = one.name;
    if (count > 1)
      what += concat(", ", i + 1, " of ", count, i == 0 ? "" : ", all " + readable_duration(left) + " left");
    Listeners mine;
    mine.warn = [&](const std::string& line) { listeners.warn(one.name + ": " + line); };
    mine.note = [](const std::string&) {};
    mine.progress = [&](const std::string&, int64_t done, int64_t total) {
      if (listeners.progress) listeners.progress(what, done, total);
    };
    const bool good = failures.guard(
        one.name, one.path,
        [&] {
          for (const std::string& line : ahead.warnings) mine.warn(line);
          try {
            require(ahead.problem.empty(), ahead.problem);
            for (const Output& output : folder.outputs(one.name)) check_writable(output.path);
            const Json sidecar = kind.segment(*ahead.input, one, folder, request.quick, mine);
            folder.add(one.name, sidecar);
            listeners.note(summary_line(one.name, sidecar));
          } catch (const std::exception& error) {
            const std::string text = error.what();
            folder.refuse(one.name, text.substr(0, text.find('\n')));
            throw;
          }
        },
        ahead.claim.get());
    if (!good && count > 1) listeners.note(one.name + ": not segmented");
  }
}

}  // namespace

PredictorSettings predictor_settings(const SegmentRequest& request) {
  PredictorSettings settings;
  settings.memory_gib = request.memory_gib;
  settings.device = request.device;
  settings.precision = request.precision;
  return settings;
}

ModelInBox chosen_model(const SegmentRequest& request, const std::string& task, const Listeners& listeners) {
  const bool named = !request.model.empty();
  ModelInBox model =
      named ? find_model(request.model, request.model_folders) : model_for_task(task, request.model_folders);
  if (const std::string its = task_of(model); its != task)
    throw UsageError(concat("the model ", model.name, " is for ", its, ", the inputs are ", task));
  if (task == "volumes") require_one_channel(model);
  listeners.note(concat("model ", model.name,
                        model.has_card ? " " + model.card.version + ": " + model.card.title : "",
                        named ? "" : " (chosen for " + task + "; -m names another)"));
  return model;
}

void segment_images(const SegmentRequest& request, const Listeners& listeners) {
  const ImagesToSegment found = find_images(request.inputs, listeners.warn);
  const ModelInBox model = chosen_model(request, found.task, listeners);
  if (request.shard && request.overwrite)
    throw UsageError("--shard and --overwrite: workers keep what others have done; name another folder");
  if (is_image_name(request.output) || is_picture_name(request.output))
    throw UsageError(request.output + ": expected a folder, for example -o segmented");
  SegmentedFolder folder(request.output, found.task, model, request.version);
  std::vector<std::string> inputs = request.inputs;
  inputs.insert(inputs.end(), model.weights.begin(), model.weights.end());
  std::vector<Output> outputs{{folder.table(), "the table"}, {folder.index(), "the page"}};
  std::vector<CohortCase> cases;
  for (const ImageToSegment& one : found.images) {
    inputs.push_back(one.path);
    for (const Output& output : folder.outputs(one.name)) outputs.push_back(output);
    cases.push_back({one.name, folder.labels(one.name)});
  }
  prepare_outputs(inputs, outputs);
  Cohort cohort(request.shard, request.output, cases, listeners.warn);
  std::vector<size_t> todo;
  size_t kept = 0, strange = 0;
  for (const size_t number : cohort.order()) {
    const std::string& name = found.images[number].name;
    if (request.overwrite || !folder.is_done(name)) {
      todo.push_back(number);
      continue;
    }
    ++kept;
    if (!folder.knows(name)) ++strange;
  }
  if (kept > 0)
    listeners.note(concat(kept, " of ", found.images.size(), " images have labels already, which are kept",
                          strange > 0 ? concat(" (", strange, " not by this model: not in the table)") : "",
                          "; --overwrite segments them anew"));
  const SlowOperators slow(listeners.warn);
  CaseFailures failures(cause_of_failure);
  if (!todo.empty()) {
    if (found.task == "volumes") {
      Volumes kind(model, request);
      segment_each(kind, found.images, todo, request, listeners, folder, cohort, failures);
    } else {
      Pictures kind(model, request);
      segment_each(kind, found.images, todo, request, listeners, folder, cohort, failures);
    }
  }
  cohort.in_turn([&] {
    if (request.shard) {
      folder.read();
      for (const auto& [name, why] : cohort.failures()) folder.refuse(name, why);
    }
    folder.write_overview();
  });
  if (const int64_t flagged = folder.flagged(); flagged > 0)
    listeners.note(concat(flagged, flagged == 1 ? " image" : " images", " to look at: ", folder.index()));
  if (!todo.empty()) listeners.note(memory_taken_line(request.device));
  listeners.note(concat("results: ", folder.table(), ", ", folder.index()));
  failures.raise(found.images.size(), listeners.warn);
}

}  // namespace mambaseg

#include "mambaseg/segment/segment_bids.h"

#include <filesystem>
#include <memory>

#include "mambaseg/core/clock.h"
#include "mambaseg/core/error.h"
#include "mambaseg/infer/cause_of_failure.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/case_failures.h"
#include "mambaseg/io/image_folder.h"
#include "mambaseg/io/labels_with_comment.h"
#include "mambaseg/ops/device_memory.h"
#include "mambaseg/ops/implementation.h"
#include "mambaseg/segment/bids_derivatives.h"
#include "mambaseg/segment/volume_files.h"
#include "mambaseg/segment/volume_segmenter.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

Json checked_description(const BidsRequest& request, const Warn& warn) {
  try {
    return read_dataset_description(request.dataset);
  } catch (const Error& error) {
    if (!request.unchecked) throw;
    warn(error.what());
    return Json::object();
  }
}

/// Writes all files of the image, its labels last.
Json segment_image(VolumeSegmenter& segmenter, const BidsImage& one, const BidsDerivatives& derivatives,
                   bool quick, const Listeners& listeners) {
  require(!is_dangling_link(one.path), "a link to a file that is not there (DataLad: datalad get)");
  for (const Output& output : derivatives.outputs(one)) check_writable(output.path);
  const auto start = Clock::now();
  const Image image = read_image(one.path, listeners.warn);
  const SegmentedVolume found =
      segmenter.run(image, !quick, listeners.progress, listeners.warn, listeners.note);
  draw_labels(derivatives.figure(one), image, found.labels, segmenter.classes());
  const Json sidecar = derivatives.sidecar_of(one, found.findings, seconds_since(start), quick);
  derivatives.write_findings(one, sidecar);
  fs::remove(derivatives.failure(one));
  write_labels_with_comment(derivatives.labels(one), found.labels, names_of_numbers(segmenter.classes()));
  return sidecar;
}

}  // namespace

void segment_bids(const BidsRequest& request, const Listeners& listeners) {
  const Json description = checked_description(request, listeners.warn);
  const std::vector<BidsImage> images = find_bids_images(request.dataset, request.selection);
  const ModelInBox model = chosen_model(request.segment, "volumes", listeners);
  const BidsDerivatives derivatives(request.dataset, request.segment.output, model, request.segment.version);
  std::vector<std::string> inputs = model.weights;
  std::vector<Output> outputs;
  std::vector<BidsImage> todo;
  for (const BidsImage& image : images) {
    inputs.push_back(image.path);
    for (const Output& output : derivatives.outputs(image)) outputs.push_back(output);
    if (request.segment.overwrite || !derivatives.is_done(image)) todo.push_back(image);
  }
  prepare_outputs(inputs, outputs);
  if (todo.size() < images.size())
    listeners.note(concat(images.size() - todo.size(), " of ", images.size(),
                          " images have labels already, which are kept; --overwrite segments them anew"));
  if (todo.empty()) return;
  const SlowOperators slow(listeners.warn);
  VolumeSegmenter segmenter(model, predictor_settings(request.segment));
  derivatives.write_top(description, segmenter.classes());
  CaseFailures failures(cause_of_failure);
  for (size_t i = 0; i < todo.size(); ++i) {
    const BidsImage& one = todo[i];
    Listeners mine;
    mine.warn = [&](const std::string& line) { listeners.warn(one.name() + ": " + line); };
    mine.note = [](const std::string&) {};
    mine.progress = [&](const std::string&, int64_t done, int64_t total) {
      if (listeners.progress)
        listeners.progress(concat(one.name(), ", ", i + 1, " of ", todo.size()), done, total);
    };
    const bool good = failures.guard(one.name(), one.path, [&] {
      try {
        const Json sidecar = segment_image(segmenter, one, derivatives, request.segment.quick, mine);
        listeners.note(summary_line(one.name(), sidecar));
      } catch (const std::exception& error) {
        const std::string text = error.what();
        derivatives.write_failure(one, text.substr(0, text.find('\n')));
        throw;
      }
    });
    if (!good && todo.size() > 1) listeners.note(one.name() + ": not segmented");
  }
  listeners.note(memory_taken_line(request.segment.device));
  failures.raise(images.size(), listeners.warn);
}

void tabulate_bids(const BidsRequest& request, const Listeners& listeners) {
  checked_description(request, listeners.warn);
  const std::vector<BidsImage> images = find_bids_images(request.dataset, request.selection);
  const ModelInBox model = chosen_model(request.segment, "volumes", listeners);
  const BidsDerivatives derivatives(request.dataset, request.segment.output, model, request.segment.version);
  require(fs::is_directory(request.segment.output), request.segment.output,
          ": no such folder; expected the outputs of the level participant");
  const size_t done = derivatives.write_group(images);
  listeners.note(concat(done, " of ", images.size(), " images have labels: ", derivatives.group_table(), ", ",
                        derivatives.group_page()));
}

}  // namespace mambaseg

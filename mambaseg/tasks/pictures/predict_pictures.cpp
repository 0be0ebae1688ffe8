#include "mambaseg/tasks/pictures/predict_pictures.h"

#include <chrono>
#include <cmath>
#include <filesystem>

#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/data/datasets.h"
#include "mambaseg/infer/case_failures.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/outputs.h"
#include "mambaseg/ops/implementation.h"
#include "mambaseg/tasks/pictures/picture_files.h"
#include "mambaseg/tasks/pictures/picture_overlay.h"
#include "mambaseg/tasks/pictures/picture_predictor.h"

namespace mambaseg {
namespace {

std::vector<int64_t> probability_classes(const PictureLabels& labels) {
  std::vector<int64_t> classes;
  const int64_t maps = labels.scheme().vote_maps(labels.score_maps());
  for (const auto& [k, map] : labels.probabilities(torch::zeros({maps, 1, 1}))) classes.push_back(k);
  return classes;
}

std::vector<Output> outputs_of(const std::vector<PictureFiles>& pictures, const PredictRequest& request,
                               const PictureLabels& labels) {
  const std::vector<int64_t> classes = probability_classes(labels);
  std::vector<Output> outputs;
  for (const PictureFiles& files : pictures) {
    outputs.push_back({files.mask, "the mask of " + files.name});
    for (const int64_t k : classes)
      if (request.probability)
        outputs.push_back({files.probability_of(k, classes.size()), "a probability of " + files.name});
    if (request.overlay) outputs.push_back({files.overlay, "the overlay of " + files.name});
  }
  return outputs;
}

void write_results(const PictureFiles& files, const Picture& picture, const torch::Tensor& votes_KYX,
                   const PredictRequest& request, const PictureLabels& labels) {
  const torch::Tensor classes = labels.decide(votes_KYX);
  if (request.probability) {
    const auto maps = labels.probabilities(votes_KYX);
    for (const auto& [k, map] : maps) write_picture(files.probability_of(k, maps.size()), grey_picture(map));
  }
  if (request.overlay) write_picture(files.overlay, overlay_of(picture, classes, labels));
  write_picture(files.mask, labels.mask_of(classes));  // last: with --resume it says that all is there
}

std::vector<PictureFiles> requested(const PredictRequest& request, const Listeners& listeners,
                                    int64_t files) {
  if (request.step > 0 || request.memory_gib > 0 || request.least_mm3 > 0 || !request.mirror)
    throw UsageError("--step, --memory, --remove-below and --no-mirror belong to models of volumes");
  if (!request.cases.empty()) return pictures_of(request.cases, request.output);
  std::vector<std::string> only;
  if (!request.split.empty()) {
    only = read_split_file(request.split).test;
    require(!only.empty(), request.split, ": no test cases in this split");
  }
  auto all = find_pictures(request.inputs.front(), request.output, only, listeners.warn, files);
  if (request.inputs.size() > 1) {
    if (std::filesystem::is_directory(request.inputs.front()))
      throw UsageError("-i: several inputs are the channels of one picture and must be files");
    all.front().inputs = request.inputs;
  }
  return all;
}

}  // namespace

void predict_pictures(const PredictRequest& request, const Listeners& listeners) {
  PicturePredictor predictor = PicturePredictor::load(request.models, request.device, request.precision);
  const std::vector<PictureFiles> all = requested(request, listeners, predictor.files());
  const PictureLabels& labels = predictor.labels();
  std::vector<std::string> inputs = request.inputs;
  for (const PictureFiles& files : all) inputs.insert(inputs.end(), files.inputs.begin(), files.inputs.end());
  prepare_outputs(inputs, outputs_of(all, request, labels));
  std::vector<PictureFiles> todo;
  for (const PictureFiles& files : all)
    if (!request.resume || !std::filesystem::exists(files.mask)) todo.push_back(files);
  const auto start = std::chrono::steady_clock::now();
  const SlowOperators slow(listeners.warn);
  CaseFailures failures;
  size_t written = 0;
  for (size_t begin = 0; begin < todo.size(); begin += static_cast<size_t>(request.batch)) {
    const size_t end = std::min(todo.size(), begin + static_cast<size_t>(request.batch));
    std::vector<const PictureFiles*> files;
    std::vector<PictureChannels> pictures;
    for (size_t i = begin; i < end; ++i)
      failures.guard(todo[i].name, todo[i].inputs[0], [&] {
        for (const Output& output : outputs_of({todo[i]}, request, labels)) check_writable(output.path);
        PictureChannels channels;
        for (const std::string& path : todo[i].inputs) channels.push_back(read_picture(path));
        predictor.check(channels);
        pictures.push_back(std::move(channels));
        files.push_back(&todo[i]);
      });
    if (!pictures.empty())
      if (const std::string line = predictor.settle_precision(pictures); !line.empty()) listeners.note(line);
    const auto votes = pictures.empty() ? std::vector<torch::Tensor>{} : predictor.votes(pictures);
    for (size_t i = 0; i < votes.size(); ++i)
      written += failures.guard(files[i]->name, files[i]->inputs[0],
                                [&] { write_results(*files[i], pictures[i][0], votes[i], request, labels); });
    if (listeners.progress)
      listeners.progress("predicting pictures", static_cast<int64_t>(end), static_cast<int64_t>(todo.size()));
  }
  const double spent_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (todo.size() < all.size())
    listeners.note(concat(all.size() - todo.size(), " of ", all.size(), " masks were there already"));
  if (written > 0 || todo.empty())
    listeners.note(concat(written, written == 1 ? " mask in " : " masks in ", request.output, ", ",
                          readable_duration(spent_s), ", ",
                          todo.empty() ? 0 : std::round(100 * static_cast<double>(written) / spent_s) / 100,
                          " pictures/s"));
  failures.raise(all.size(), listeners.warn);
}

}  // namespace mambaseg

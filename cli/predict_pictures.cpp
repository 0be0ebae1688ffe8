#include "cli/predict_pictures.h"

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "cli/case_failures.h"
#include "cli/terminal.h"
#include "mambaseg/core/error.h"
#include "mambaseg/data/datasets.h"
#include "mambaseg/infer/picture_predictor.h"
#include "mambaseg/infer/pictures.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/report/contour.h"

namespace mambaseg {
namespace {

constexpr Colour kContour{0, 255, 0};  // seen on skin and on mucosa

std::vector<Output> outputs_of(const std::vector<PictureFiles>& pictures,
                               const PredictPicturesOptions& options) {
  std::vector<Output> outputs;
  for (const PictureFiles& files : pictures) {
    outputs.push_back({files.mask, "the mask of " + files.name});
    if (options.probability) outputs.push_back({files.probability, "the probability of " + files.name});
    if (options.overlay) outputs.push_back({files.overlay, "the overlay of " + files.name});
  }
  return outputs;
}

void write_results(const PictureFiles& files, const Picture& picture, const torch::Tensor& p_YX,
                   const PredictPicturesOptions& options, double threshold) {
  const Picture mask = grey_picture((p_YX >= threshold).to(torch::kFloat32));
  if (options.probability) write_picture(files.probability, grey_picture(p_YX));
  if (options.overlay) write_picture(files.overlay, draw_contour(picture, mask, kContour));
  write_picture(files.mask, mask);  // last: with --resume it says that all is there
}

}  // namespace

void predict_pictures(const PredictPicturesOptions& options) {
  std::vector<std::string> only;
  if (!options.split.empty()) {
    only = read_split_file(options.split).test;
    require(!only.empty(), options.split, ": no test cases in this split");
  }
  const auto all = find_pictures(options.input, options.output, only, warnings_to_stderr());
  std::vector<std::string> inputs{options.input};
  for (const PictureFiles& files : all) inputs.push_back(files.input);
  prepare_outputs(inputs, outputs_of(all, options));
  PicturePredictor predictor = PicturePredictor::load(options.models, options.device, options.precision);
  std::vector<PictureFiles> todo;
  for (const PictureFiles& files : all)
    if (!options.resume || !std::filesystem::exists(files.mask)) todo.push_back(files);
  const Progress progress = progress_bar();
  const auto start = std::chrono::steady_clock::now();
  CaseFailures failures;
  size_t written = 0;
  for (size_t begin = 0; begin < todo.size(); begin += static_cast<size_t>(options.batch)) {
    const size_t end = std::min(todo.size(), begin + static_cast<size_t>(options.batch));
    std::vector<const PictureFiles*> files;
    std::vector<Picture> pictures;
    for (size_t i = begin; i < end; ++i)
      failures.guard(todo[i].name, todo[i].input, [&] {
        check_writable(todo[i].mask);
        if (options.probability) check_writable(todo[i].probability);
        if (options.overlay) check_writable(todo[i].overlay);
        pictures.push_back(read_picture(todo[i].input));
        files.push_back(&todo[i]);
      });
    if (!pictures.empty())
      if (const std::string line = predictor.settle_precision(pictures); !line.empty())
        std::printf("%s\n", line.c_str());
    const auto maps = pictures.empty() ? std::vector<torch::Tensor>{} : predictor.probabilities(pictures);
    for (size_t i = 0; i < maps.size(); ++i)
      written += failures.guard(files[i]->name, files[i]->input, [&] {
        write_results(*files[i], pictures[i], maps[i], options, predictor.plan().threshold);
      });
    if (progress)
      progress("predicting pictures", static_cast<int64_t>(end), static_cast<int64_t>(todo.size()));
  }
  const double spent_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (todo.size() < all.size())
    std::printf("%zu of %zu masks were there already\n", all.size() - todo.size(), all.size());
  if (written > 0 || todo.empty())
    std::printf("%zu masks in %s, %s, %.2f pictures/s\n", written, options.output.c_str(),
                readable_duration(spent_s).c_str(),
                todo.empty() ? 0 : static_cast<double>(written) / spent_s);
  failures.raise(all.size());
}

}  // namespace mambaseg

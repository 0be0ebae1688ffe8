#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "mambaseg/data/scribbles.h"
#include "mambaseg/io/outputs.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/tasks/pictures/picture_files.h"

namespace mambaseg {
namespace {

struct Options {
  std::string input, output;
  ScribbleSettings scribbles;
  uint64_t seed = 0;
};

/// A mask as 0 and 255, other pictures as the label numbers that they hold.
PictureNumbers labels_of(const std::string& path) {
  PictureNumbers labels = read_picture_numbers(path);
  if (shows_a_mask(labels)) {
    const std::vector<uint8_t> structure = structure_of(labels);
    std::transform(structure.begin(), structure.end(), labels.values.begin(),
                   [](uint8_t one) { return one ? 255 : 0; });
  }
  for (const int32_t number : labels.values)
    require(number >= 0 && number <= 255, path, ": label ", number,
            " does not fit into the 8 bits of a mask");
  return labels;
}

/// A number for a name, so that what is drawn for a picture depends on no other.
uint64_t number_of(const std::string& name) {
  uint64_t number = 0;
  for (const char c : name) number = stream_of(number, static_cast<unsigned char>(c));
  return number;
}

void run(const Options& options) {
  const std::vector<PictureFiles> masks =
      find_pictures(options.input, options.output, {}, warnings_to_stderr());
  std::vector<std::string> inputs;
  std::vector<Output> outputs;
  for (const PictureFiles& one : masks) {
    inputs.push_back(one.inputs[0]);
    outputs.push_back({one.mask, "the scribbles of " + one.name});
  }
  prepare_outputs(inputs, outputs);
  double drawn = 0, pixels = 0;
  for (const PictureFiles& one : masks) {
    const PictureNumbers labels = labels_of(one.inputs[0]);
    const PictureNumbers scribbles = with_context(one.inputs[0], [&] {
      return scribbles_of(labels, options.scribbles, Random(options.seed, number_of(one.name)));
    });
    Picture picture{scribbles.width, scribbles.height, 1, {}};
    for (const int32_t number : scribbles.values) {
      picture.values.push_back(static_cast<uint8_t>(number));
      drawn += number != options.scribbles.unlabelled;
    }
    pixels += static_cast<double>(scribbles.values.size());
    write_picture(one.mask, picture);
  }
  std::printf("%zu masks, %.1f%% of their pixels in strokes; plan.ignore_label = %lld is the rest\n",
              masks.size(), 100 * drawn / pixels, (long long)options.scribbles.unlabelled);
}

}  // namespace

void declare_scribbles(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("input", options->input, "Masks, or pictures of label numbers: a file or a folder")
      ->required();
  command.add_option("-o,--output", options->output, "Scribbles: a PNG, or a folder of NAME.png")->required();
  command.add_option("--width", options->scribbles.width, "Width of the strokes, pixels")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--unlabelled", options->scribbles.unlabelled, "What is written where nothing is drawn")
      ->check(CLI::Range(1, 255))
      ->capture_default_str();
  command.add_option("--seed", options->seed, "Seed of where strokes begin")->capture_default_str();
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg

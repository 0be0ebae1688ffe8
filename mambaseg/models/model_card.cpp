#include "mambaseg/models/model_card.h"

#include <filesystem>

namespace mambaseg {
namespace {

constexpr size_t kDigits = 64;  // of SHA-256

void check(const ModelCard& card) {
  const std::pair<const char*, const std::string*> needed[] = {
      {"title", &card.title}, {"task", &card.task}, {"input", &card.input}, {"version", &card.version}};
  for (const auto& [name, value] : needed)
    if (value->empty()) throw UsageError(concat(name, ": a model card needs it"));
  if (card.stages.empty()) throw UsageError("stages: expected at least one file of weights");
  for (const ModelStage& stage : card.stages) {
    // Weights of elsewhere would be installed and removed without the card.
    if (stage.file.empty() || std::filesystem::path(stage.file).filename() != stage.file)
      throw UsageError(concat("stages.file: expected the name of a file beside the card, got ", stage.file));
    if (stage.sha256.size() != kDigits ||
        stage.sha256.find_first_not_of("0123456789abcdef") != std::string::npos)
      throw UsageError(concat("stages.sha256: expected the 64 digits that sha256sum prints of ", stage.file,
                              ", got ", stage.sha256));
  }
  for (const auto& [structure, range] : card.limits.volumes_ml)
    if (range.size() != 2 || range[0] > range[1])
      throw UsageError(concat("limits.volumes_ml.", structure, ": expected [least, largest]"));
}

}  // namespace

ModelCard read_model_card(const std::string& path) {
  const Json json = read_toml(path);
  return with_context(path, [&] {
    const auto card = from_json<ModelCard>(json);
    check(card);
    return card;
  });
}

}  // namespace mambaseg

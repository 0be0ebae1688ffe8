#include "mambaseg/nets/model/network.h"

#include <algorithm>

#include "mambaseg/nets/model/hybrid_entry.h"
#include "mambaseg/nets/zoo/list.h"

namespace mambaseg {

#define MAMBASEG_DECLARE(NAME) NetworkEntry NAME##_entry();
MAMBASEG_NETWORKS(MAMBASEG_DECLARE)
#undef MAMBASEG_DECLARE

namespace {

std::string text_of(const Extent& sizes) {
  std::string text;
  for (const int64_t size : sizes) text += (text.empty() ? "" : " x ") + std::to_string(size);
  return text;
}

}  // namespace

std::string Network::misfit(const Extent& sizes) const {
  const Extent multiples = size_multiples();
  const Extent least = least_sizes();
  bool fits = sizes.size() == multiples.size();
  for (size_t axis = 0; fits && axis < sizes.size(); ++axis)
    fits = sizes[axis] >= least[axis] && sizes[axis] % multiples[axis] == 0;
  if (fits) return "";
  const bool any = std::all_of(multiples.begin(), multiples.end(), [](int64_t one) { return one == 1; });
  return concat("expected ", any ? "at least " + text_of(least) : "multiples of " + text_of(multiples),
                ", got ", text_of(sizes));
}

std::vector<torch::Tensor> Network::forward(const torch::Tensor& x) {
  require(x.dim() > 2, "network: expected (batch, channel, sizes...), got ", x.dim(), " axes");
  const std::string why = misfit(x.sizes().slice(2).vec());
  require(why.empty(), "network: sizes of the input: ", why);
  return scores(x);
}

NetworkEntry entry_of(NetworkFacts facts, std::shared_ptr<Network> (*make)(const Json&),
                      void (*check)(const Json&), Json (*settings)(),
                      std::vector<SettingDocumentation> (*documentation)()) {
  return {facts.name,
          std::move(facts.dims),
          facts.source,
          facts.summary,
          facts.parameters,
          Json::parse(facts.small),
          facts.small_edge,
          std::move(facts.official),
          std::move(facts.blocks),
          make,
          check,
          settings,
          documentation};
}

const std::vector<NetworkEntry>& networks() {
  static const std::vector<NetworkEntry> list{
#define MAMBASEG_CALL(NAME) NAME##_entry(),
      MAMBASEG_NETWORKS(MAMBASEG_CALL)
#undef MAMBASEG_CALL
  };
  return list;
}

const NetworkEntry& find_network(const std::string& name) {
  std::vector<std::string> names;
  for (const NetworkEntry& entry : networks()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  const std::string near = nearest_word(name, names.data(), names.data() + names.size());
  throw UsageError(concat("no network is called ", name,
                          near.empty() ? "" : concat(", did you mean ", near, "?"),
                          " (mambaseg networks lists them)"));
}

std::shared_ptr<Network> make_network(const Json& config) {
  if (!config.is_object() || !config.contains("name") || !config["name"].is_string())
    throw UsageError("network: expected a table with a name, for example name = \"medsegmamba\"");
  Json settings = config;
  settings.erase("name");
  const NetworkEntry& entry = find_network(config["name"].get<std::string>());
  require_twin(entry, settings);
  return entry.make(settings);
}

int64_t parameter_count(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const torch::Tensor& parameter : module.parameters())
    if (parameter.requires_grad()) count += parameter.numel();
  return count;
}

}  // namespace mambaseg

#include "mambaseg/data/label_scheme.h"

#include <map>
#include <set>

#include "mambaseg/core/error.h"

namespace mambaseg {

void check_labels(const LabelSettings& labels) {
  const auto need = [](bool holds, const std::string& what) {
    if (!holds) throw UsageError("plan: " + what);
  };
  const bool regions = !labels.regions_class_order.empty();
  need(!regions || labels.regions_class_order.size() == labels.classes.size(),
       concat("regions_class_order needs one label number for each of the ", labels.classes.size(),
              " regions, got ", labels.regions_class_order.size()));
  std::map<int64_t, std::string> owner;
  for (const LabelClass& c : labels.classes) {
    need(!c.ids.empty(), "class \"" + c.name + "\" has no label number");
    for (const int64_t id : c.ids) {
      need(id > 0,
           concat("class \"", c.name, "\": label ", id, " cannot be learned; expected numbers above 0"));
      const auto [other, is_new] = owner.emplace(id, c.name);
      need(is_new || regions, concat("label ", id, " belongs to the classes \"", other->second, "\" and \"",
                                     c.name, "\"; regions that overlap need regions_class_order"));
    }
  }
  for (const int64_t number : labels.regions_class_order) owner.emplace(number, "regions_class_order");
  const auto ignored = owner.find(labels.ignore_label);
  need(ignored == owner.end(), concat("ignore_label ", labels.ignore_label, " belongs to \"",
                                      ignored == owner.end() ? "" : ignored->second, "\" as well"));
  need(LabelScheme(labels).class_count() < kIgnoredClass,
       concat("at most ", kIgnoredClass - 1, " classes, got ", LabelScheme(labels).class_count()));
}

LabelScheme::LabelScheme(const LabelSettings& settings)
    : any_label_(settings.classes.empty()),
      regions_(!settings.regions_class_order.empty()),
      ignore_label_(settings.ignore_label),
      class_of_{{0, 0}},
      labels_{0} {
  if (regions_) {
    std::set<int64_t> numbers(settings.regions_class_order.begin(), settings.regions_class_order.end());
    for (const LabelClass& region : settings.classes) numbers.insert(region.ids.begin(), region.ids.end());
    for (const int64_t number : numbers)
      if (class_of_.emplace(number, static_cast<int64_t>(labels_.size())).second) labels_.push_back(number);
    for (const LabelClass& region : settings.classes) {
      structures_.emplace_back();
      for (const int64_t id : region.ids) structures_.back().push_back(class_of_.at(id));
    }
    for (const int64_t number : settings.regions_class_order) written_.push_back(class_of_.at(number));
  } else {
    for (const LabelClass& one : settings.classes) {
      const auto k = static_cast<int64_t>(labels_.size());
      for (const int64_t id : one.ids) class_of_.emplace(id, k);
      labels_.push_back(one.ids.empty() ? 0 : one.ids.front());
      structures_.push_back({k});
    }
  }
  if (ignore_label_ != 0) class_of_.emplace(ignore_label_, kIgnoredClass);
}

int64_t LabelScheme::class_of(int64_t label) const {
  const auto found = class_of_.find(label);
  return found != class_of_.end() ? found->second : any_label_ ? label : kUnknown;
}

int64_t LabelScheme::label_of(int64_t k) const {
  if (any_label_) return k;
  require(k >= 0 && k < static_cast<int64_t>(labels_.size()), "labels: the network gave class ", k,
          ", the plan has classes up to ", labels_.size() - 1);
  return labels_[static_cast<size_t>(k)];
}

std::vector<double> LabelScheme::structure_voxels(const std::vector<double>& class_voxels) const {
  if (any_label_) return class_voxels;
  const auto count = [&](int64_t k) {
    return static_cast<size_t>(k) < class_voxels.size() ? class_voxels[static_cast<size_t>(k)] : 0;
  };
  std::vector<double> out{count(0)};
  for (const auto& members : structures_) {
    out.push_back(0);
    for (const int64_t k : members) out.back() += count(k);
  }
  return out;
}

int64_t LabelScheme::score_maps() const {
  const auto named = static_cast<int64_t>(structures_.size());
  return any_label_ ? 0 : regions_ ? named : named + 1;
}

torch::Tensor LabelScheme::votes(const torch::Tensor& scores_BK) const {
  // Networks leave the scores of a voxel side by side, where the softmax is fast.
  const torch::Tensor scores = scores_BK.movedim(1, -1);
  if (!regions_) return torch::softmax(scores, -1).movedim(-1, 1);
  const torch::Tensor ones = torch::ones_like(scores.narrow(-1, 0, 1));
  return torch::cat({ones, torch::sigmoid(scores)}, -1).movedim(-1, 1);
}

torch::Tensor LabelScheme::decide(const torch::Tensor& votes_K) const {
  if (!regions_) return votes_K.argmax(0);
  const torch::Tensor half = votes_K[0] * 0.5;
  auto classes = torch::zeros(half.sizes(), half.options().dtype(torch::kInt64));
  for (size_t region = 0; region < written_.size(); ++region)
    classes.masked_fill_(votes_K[static_cast<int64_t>(region) + 1] > half, written_[region]);
  return classes;
}

int64_t LabelScheme::class_of_map(int64_t map) const {
  return !regions_ || map == 0 ? map : written_.at(static_cast<size_t>(map) - 1);
}

}  // namespace mambaseg

#include "mambaseg/nets/model/weights.h"

#include <sstream>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr size_t kNamesShown = 5;

/// What does not fit between a module and a state_dict.
struct Misfits {
  std::vector<std::string> missing, extra, misshaped;
  bool none() const { return missing.empty() && extra.empty() && misshaped.empty(); }
};

std::string counted(const std::vector<std::string>& names, const char* what) {
  std::ostringstream out;
  out << names.size() << " " << what << " (";
  for (size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) out << (i ? ", " : "") << names[i];
  out << (names.size() > kNamesShown ? ", ...)" : ")");
  return out.str();
}

std::string text(const Misfits& misfits) {
  std::string out;
  const std::pair<const std::vector<std::string>*, const char*> kinds[] = {
      {&misfits.missing, "missing"},
      {&misfits.extra, "not part of the network"},
      {&misfits.misshaped, "of another size"}};
  for (const auto& [names, what] : kinds)
    if (!names->empty()) out += (out.empty() ? "" : ", ") + counted(*names, what);
  return out;
}

std::string sizes_text(const torch::Tensor& tensor) {
  std::ostringstream out;
  out << tensor.sizes();
  return out.str();
}

/// Whether a part of `module` computes the tensor of this name itself.
bool is_computed(const torch::nn::Module& module, const std::string& name, const torch::Tensor& value) {
  const auto computes = [&](const torch::nn::Module& part, const std::string& prefix) {
    const auto* computing = dynamic_cast<const ComputesEntries*>(&part);
    return computing != nullptr && name.starts_with(prefix) &&
           with_context(name, [&] { return computing->check_computed(name.substr(prefix.size()), value); });
  };
  if (computes(module, "")) return true;
  for (const auto& entry : module.named_modules("", /*include_self=*/false))
    if (computes(*entry.value(), entry.key() + ".")) return true;
  return false;
}

}  // namespace

Weights weights_of(const torch::nn::Module& module) {
  Weights out;
  for (const auto& entry : module.named_parameters()) out[entry.key()] = entry.value();
  for (const auto& entry : module.named_buffers()) out[entry.key()] = entry.value();
  return out;
}

Weights with_our_names(const Weights& official, std::string (*our_name)(const std::string& official)) {
  if (our_name == nullptr) return official;
  Weights out;
  std::map<std::string, std::string> first;  // of those that get one name
  for (const auto& [name, tensor] : official) {
    const std::string ours = our_name(name);
    const auto [place, fresh] = out.emplace(ours, tensor);
    if (fresh)
      first[ours] = name;
    else
      require(torch::equal(place->second, tensor), name, " differs from ", first[ours],
              ", which it repeats in the official code");
  }
  return out;
}

Weights with_our_names(Weights official, const NetworkEntry& entry) {
  for (const OfficialNetwork& one : entry.official) official = with_our_names(official, one.our_name);
  return official;
}

void load_weights(torch::nn::Module& module, const Weights& weights) {
  const Weights own = weights_of(module);
  Misfits misfits;
  for (const auto& [name, tensor] : own) {
    const auto found = weights.find(name);
    if (found == weights.end()) {
      misfits.missing.push_back(name);
    } else if (found->second.sizes() != tensor.sizes()) {
      misfits.misshaped.push_back(
          concat(name, " ", sizes_text(found->second), " instead of ", sizes_text(tensor)));
    }
  }
  for (const auto& [name, tensor] : weights)
    if (own.count(name) == 0 && !is_computed(module, name, tensor)) misfits.extra.push_back(name);
  require(misfits.none(), "the weights do not fit: ", text(misfits));
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : own) torch::Tensor(tensor).copy_(weights.at(name));
}

}  // namespace mambaseg

#include "mambaseg/nets/weights.h"

#include <sstream>

#include "mambaseg/core/error.h"
#include "mambaseg/nets/blocks/ss3d.h"

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

/// The mixer P that P.scans.index_flat* belongs to, or nullptr.
const SS3D* owner_of_walk_table(const torch::nn::Module& module, const std::string& name) {
  const size_t found = name.rfind("scans.index_flat");
  if (found == std::string::npos) return nullptr;
  const std::string owner = found == 0 ? "" : name.substr(0, found - 1);
  const SS3D* mixer = nullptr;
  if (owner.empty()) mixer = dynamic_cast<const SS3D*>(&module);
  for (const auto& entry : module.named_modules("", /*include_self=*/false))
    if (entry.key() == owner) mixer = dynamic_cast<const SS3D*>(entry.value().get());
  return mixer != nullptr && mixer->has_walk_table() ? mixer : nullptr;
}

/// The name that a tensor has here, where the official state_dict of a network in nnU-Net's frame repeats it:
/// its decoder also holds the encoder, its convolution blocks also list their parts as all_modules.
std::string without_repetition(std::string name) {
  const std::string mirrored = "decoder.encoder.", parts = "all_modules.";
  if (name.rfind(mirrored, 0) == 0) name.erase(0, mirrored.size() - std::string("encoder.").size());
  const size_t found = name.find(parts);
  if (found == std::string::npos) return name;
  const size_t index = found + parts.size(), rest = name.find('.', index);
  if (rest == std::string::npos) return name;
  return name.substr(0, found) + (name.substr(index, rest - index) == "0" ? "conv" : "norm") +
         name.substr(rest);
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

Weights weights_of(const torch::nn::Module& module) {
  Weights out;
  for (const auto& entry : module.named_parameters()) out[entry.key()] = entry.value();
  for (const auto& entry : module.named_buffers()) out[entry.key()] = entry.value();
  return out;
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
  for (const auto& [name, tensor] : weights) {
    if (own.count(name) != 0) continue;
    if (const auto original = weights.find(without_repetition(name));
        original != weights.end() && own.count(original->first)) {
      require(torch::equal(original->second, tensor), name, " differs from ", original->first,
              ", which it repeats in the official code");
    } else if (const SS3D* mixer = owner_of_walk_table(module, name)) {
      with_context(name, [&] { mixer->check_walk_table(tensor, ends_with(name, "_inv")); });
    } else {
      misfits.extra.push_back(name);
    }
  }
  require(misfits.none(), "the weights do not fit: ", text(misfits));
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : own) torch::Tensor(tensor).copy_(weights.at(name));
}

}  // namespace mambaseg

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

#include "mambaseg/config/config.h"
#include "mambaseg/nets/layers/layer.h"

namespace mambaseg {

/// A segmentation network. Module names equal the official state_dict keys, so that published weights load as
/// they are.
class Network : public Module {
 public:
  /// x (B, in_channels, spatial...) -> class scores before softmax: first (B, classes, spatial...), then,
  /// where the network has deep-supervision heads and is in training mode, those of the coarser scales,
  /// finest first. Throws Error unless every spatial size fits (misfit).
  std::vector<torch::Tensor> forward(const torch::Tensor& x);

  /// What each spatial size of the input must be a multiple of, one number an axis; a function of the
  /// settings.
  virtual Extent size_multiples() const = 0;

  /// What each spatial size must be at least, where that is more than one multiple.
  virtual Extent least_sizes() const { return size_multiples(); }

  /// Why an input of these spatial sizes is refused: "expected multiples of 16 x 16, got 20 x 16"; empty when
  /// it is taken.
  std::string misfit(const Extent& sizes) const;

  /// Scores of the coarser scales in evaluation mode too.
  void give_all_scales() { all_scales_ = true; }

  /// Called with the name and output of stages that a network makes known, for tests and for looking inside.
  using Observer = std::function<void(const std::string& stage, const torch::Tensor& output)>;
  void set_observer(Observer observer) { observer_ = std::move(observer); }

 protected:
  /// forward() for an input that fits.
  virtual std::vector<torch::Tensor> scores(const torch::Tensor& x) = 0;
  bool wants_all_scales() const { return all_scales_ || is_training(); }
  void seen(const char* stage, const torch::Tensor& output) const {
    if (observer_) observer_(stage, output);
  }

 private:
  bool all_scales_ = false;
  Observer observer_;
};

/// A class of a public repository that a network equals, so that its files of weights can be read and its
/// results compared. Class names repeat between repositories.
struct OfficialNetwork {
  const char* repository;  ///< "JCruan519/VM-UNet", on github.com
  const char* class_name;  ///< "VMUNet"; behind it in brackets what tells several of one name apart
  /// Our settings for the arguments of its constructor, by name.
  Json (*settings)(const Json& arguments);
  /// What its forward does behind our scores, for example a softmax; null: nothing.
  torch::Tensor (*behind)(const torch::Tensor& scores) = nullptr;
  /// The name here of an entry of its state_dict that has another there or repeats one; null: all are ours.
  std::string (*our_name)(const std::string& official) = nullptr;
};

/// A block of a public repository that one of ours equals, so that its results can be compared. Declared
/// beside the block.
struct OfficialBlock {
  const char* repository;  ///< on github.com
  std::vector<std::string> class_names;
  /// For the arguments of its constructor, by name.
  std::shared_ptr<torch::nn::Module> (*make)(const Json& arguments);
  /// Its forward, where ours is not that of a Layer on the one input "x".
  torch::Tensor (*run)(torch::nn::Module& module,
                       const std::map<std::string, torch::Tensor>& inputs) = nullptr;
  /// As OfficialNetwork has it.
  std::string (*our_name)(const std::string& official) = nullptr;
};

/// What the file of a network says of it. Made of texts, as code that builds containers takes long to
/// compile.
struct NetworkFacts {
  const char* name;         ///< "medsegmamba"
  std::vector<int> dims;    ///< spatial dimensions it works in: {3}, {2} or {2, 3}
  const char* source;       ///< paper and repository
  const char* summary;      ///< one line
  int64_t parameters = 0;   ///< trainable, at the paper's settings
  const char* small;        ///< settings of a tiny variant for tests, over the paper's, as JSON
  int64_t small_edge = 16;  ///< an input edge that it takes
  std::vector<OfficialNetwork> official = {};
  std::vector<OfficialBlock> blocks = {};  ///< of its file
};

/// What the lists, the documentation and the tests know of a network.
struct NetworkEntry {
  std::string name;
  std::vector<int> dims;
  std::string source, summary;
  int64_t parameters = 0;
  Json small;
  int64_t small_edge = 16;
  std::vector<OfficialNetwork> official;
  std::vector<OfficialBlock> blocks;
  std::shared_ptr<Network> (*make)(const Json& settings);  ///< settings over the paper's; UsageError
  void (*check)(const Json& settings);                     ///< what `make` refuses of single settings
  Json (*settings)();                                      ///< the paper's settings
  std::vector<SettingDocumentation> (*documentation)();    ///< their meaning
};

NetworkEntry entry_of(NetworkFacts facts, std::shared_ptr<Network> (*make)(const Json&),
                      void (*check)(const Json&), Json (*settings)(),
                      std::vector<SettingDocumentation> (*documentation)());

/// The entry of a network with these settings; `Make` is a lambda without captures. Every network has the
/// settings in_channels and classes; those of several dimensions the setting dims.
template <class Settings, class Make>
NetworkEntry network_entry(NetworkFacts facts, Make) {
  static_assert(std::is_class_v<Make>, "a function is not known inside; wrap it in a lambda");
  return entry_of(
      std::move(facts),
      [](const Json& settings) -> std::shared_ptr<Network> { return Make{}(from_json<Settings>(settings)); },
      [](const Json& settings) { from_json<Settings>(settings); }, [] { return to_json(Settings{}); },
      [] { return documentation<Settings>(); });
}

/// Every network, in the order of the documentation (zoo/list.h).
const std::vector<NetworkEntry>& networks();

/// The entry of that name; UsageError with the nearest name otherwise.
const NetworkEntry& find_network(const std::string& name);

/// Makes the network that `config` describes: {"name": "medsegmamba", settings ...}.
std::shared_ptr<Network> make_network(const Json& config);

/// Trainable parameters.
int64_t parameter_count(const torch::nn::Module& module);

/// Argument `name` of a constructor call, or `otherwise` where the call leaves it at its default.
template <class T>
T argument(const Json& arguments, const char* name, T otherwise) {
  const auto found = arguments.find(name);
  return found == arguments.end() || found->is_null() ? otherwise : found->get<T>();
}

}  // namespace mambaseg

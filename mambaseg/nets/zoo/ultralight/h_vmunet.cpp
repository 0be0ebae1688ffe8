// H-vmunet: High-order Vision Mamba UNet for Medical Image Segmentation (Wu et al. 2024), after its public
// code, whose module names it keeps: MALUNet's frame as in the authors' UltraLight VM-UNet, in its coarse
// scales blocks that gate and scan in turn over ever more channels (H-SS2D, orders 2 to 5). Unlike there,
// forward returns scores before the sigmoid.
//
// Every block of the official class has a complex weight that it never reads, 403,392 numbers in all. They
// are kept where `unused` says so, for the count; files of weights load with and without.

#include "mambaseg/nets/blocks/bridged_unet.h"
#include "mambaseg/nets/blocks/high_order_gate.h"
#include "mambaseg/nets/blocks/ss2d.h"
#include "mambaseg/nets/model/hybrid_entry.h"
#include "mambaseg/nets/model/weights.h"

namespace mambaseg {
namespace {

constexpr size_t kConvScales = 2;  // of convolutions alone; scale i of the others has blocks of order i
constexpr double kScale = 1.0 / 3;
constexpr double kEps = 1e-6;

struct HVmunetSettings : BridgedUnetSettings {
  std::vector<int64_t> depths{2, 2, 2, 2};
  int64_t states = 16;
  double drop_path = 0.4;
  bool unused = true;

  HVmunetSettings() { widths = {8, 16, 32, 64, 128, 256}; }
  void describe(SettingsVisitor& visit) {
    BridgedUnetSettings::describe(visit);
    visit("depths", depths, "blocks of each of the four coarse scales, in encoder and decoder alike",
          at_least(0));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit(
        "drop_path", drop_path,
        "training: chance that the coarsest block's branch is left out for a sample; falls to 0 towards the "
        "finest",
        between(0, 1));
    visit("unused", unused, "keep the parameters of the official class that nothing reads");
  }
};

struct HighOrderScanSettings {
  int64_t width = 32;
  int64_t order = 2;  ///< width is a multiple of 2^order
  int64_t states = 16;
  bool unused = false;
};

torch::Tensor maps_of(const torch::Tensor& x_BYXC) { return x_BYXC.permute({0, 3, 1, 2}); }
torch::Tensor tokens_of(const torch::Tensor& x_BCYX) { return x_BCYX.permute({0, 2, 3, 1}); }

std::shared_ptr<SS2D> mixer(int64_t width, int64_t states) {
  return std::make_shared<SS2D>(Ss2dSettings{.width = width, .states = states});
}

/// Local-SS2D: norm, half of the channels through a depthwise convolution, half through SS2D, taken in turn,
/// norm. Prefixes "pre_norm", "dw", "SS2D", "post_norm".
class LocalScan : public Layer, public ComputesEntries {
 public:
  LocalScan(int64_t width, const HighOrderScanSettings& s)
      : norm_(register_module("pre_norm", std::make_shared<LayerNorm>(width, kEps))),
        last_norm_(register_module("post_norm", std::make_shared<LayerNorm>(width, kEps))),
        depthwise_(register_module("dw", depthwise(2, width / 2, 3, {.bias = false}))),
        mixer_(register_module("SS2D", mixer(width / 2, s.states))) {
    const std::vector<int64_t> grid = s.order == 5   ? std::vector<int64_t>{12, 7}
                                      : s.order == 4 ? std::vector<int64_t>{24, 13}
                                                     : std::vector<int64_t>{14, 8};
    if (s.unused)
      register_parameter(kUnused, torch::empty({width / 2, grid[0], grid[1], 2}).normal_(0, 0.02));
  }
  /// x (B, Y, X, width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override {
    const std::vector<torch::Tensor> halves = norm_->forward(x).chunk(2, -1);
    const torch::Tensor local = tokens_of(depthwise_->forward(maps_of(halves[0])));
    return last_norm_->forward(torch::stack({local, mixer_->forward(halves[1])}, -1).flatten(-2));
  }
  /// Nothing reads that one.
  bool check_computed(const std::string& name, const torch::Tensor&) const override {
    return name == kUnused;
  }

 private:
  static constexpr const char* kUnused = "complex_weight";
  std::shared_ptr<LayerNorm> norm_, last_norm_;
  std::shared_ptr<Convolution> depthwise_;
  std::shared_ptr<SS2D> mixer_;
};

/// H-SS2D: gates of high order, each product read by an SS2D. Mixers are called "ss2d_in", "ss2d_1", ...
std::shared_ptr<HighOrderGate> high_order_scan(const HighOrderScanSettings& s) {
  const HighOrderSettings gate{.width = s.width, .order = s.order, .scale = kScale};
  int64_t gates = 0;
  std::vector<std::pair<std::string, std::shared_ptr<Layer>>> mixers;
  for (const int64_t width : HighOrderGate::widths(gate)) {
    gates += width;
    mixers.emplace_back(mixers.empty() ? "ss2d_in" : "ss2d_" + std::to_string(mixers.size()),
                        mixer(width, s.states));
  }
  return std::make_shared<HighOrderGate>(gate, std::make_shared<LocalScan>(gates, s), mixers);
}

/// x + path(scale * scan(norm(x))), then the same with an MLP; the scales start at 1e-6. Prefixes
/// "norm1", "H_SS2D", "norm2", "pwconv1", "pwconv2", "gamma1", "gamma2".
class HighOrderBlock : public Layer {
 public:
  explicit HighOrderBlock(const HighOrderScanSettings& s, double drop_path = 0)
      : norm1_(register_module("norm1", std::make_shared<LayerNorm>(s.width, kEps))),
        norm2_(register_module("norm2", std::make_shared<LayerNorm>(s.width, kEps))),
        scan_(register_module("H_SS2D", high_order_scan(s))),
        widen_(register_module("pwconv1", std::make_shared<Linear>(s.width, 4 * s.width))),
        narrow_(register_module("pwconv2", std::make_shared<Linear>(4 * s.width, s.width))),
        path_(register_module("drop_path", std::make_shared<DropPath>(drop_path))),
        gamma1_(register_parameter("gamma1", torch::full({s.width}, 1e-6))),
        gamma2_(register_parameter("gamma2", torch::full({s.width}, 1e-6))) {}
  /// x (B, width, Y, X) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x_BCYX) override {
    torch::Tensor x = tokens_of(x_BCYX).contiguous();
    x = x + branch(gamma1_, scan_->forward(norm1_->forward(x)));
    x = x + branch(gamma2_, narrow_->forward(widen_->run(norm2_->forward(x), {Activation::gelu, {}})));
    return maps_of(x);
  }

 private:
  torch::Tensor branch(const torch::Tensor& scale, const torch::Tensor& y) {
    return path_->forward((scale * y).to(y.scalar_type()));
  }
  std::shared_ptr<LayerNorm> norm1_, norm2_;
  std::shared_ptr<HighOrderGate> scan_;
  std::shared_ptr<Linear> widen_, narrow_;
  std::shared_ptr<DropPath> path_;
  torch::Tensor gamma1_, gamma2_;
};

std::shared_ptr<Network> make(const HVmunetSettings& s) {
  if (s.depths.size() != 4) throw UsageError(concat("depths: expected 4 numbers, got ", s.depths.size()));
  const auto chances = rising_drop_path(s.depths[0] + s.depths[1] + s.depths[2] + s.depths[3], s.drop_path);
  const auto stage = [&](size_t scale, int64_t in, int64_t out, bool decoder) {
    auto layers = sequence({});
    if (scale >= kConvScales) {
      const auto order = static_cast<int64_t>(scale);
      if (in % (int64_t{1} << order) != 0)
        throw UsageError(concat("widths: expected a multiple of ", int64_t{1} << order,
                                " before or in scale ", scale + 1, ", got ", in));
      size_t first = 0;
      for (size_t i = kConvScales; i < scale; ++i) first += static_cast<size_t>(s.depths[i - kConvScales]);
      for (int64_t i = 0; i < s.depths[scale - kConvScales]; ++i) {
        // The decoder's coarsest blocks share one chance there.
        const size_t block = first + (decoder && scale == 5 ? 0 : static_cast<size_t>(i));
        layers->push_back(std::make_shared<HighOrderBlock>(
            HighOrderScanSettings{in, order, s.states, s.unused}, chances[block]));
      }
    }
    layers->push_back(conv(2, in, out, 3));
    return layers;
  };
  return std::make_shared<BridgedUnet>(s, stage);
}

Json official_settings(const Json& a) {
  HVmunetSettings s;
  read_bridged_arguments(a, s);
  s.depths = argument(a, "depths", s.depths);
  s.drop_path = argument(a, "drop_path_rate", 0.0);
  return to_json(s);
}

torch::Tensor sigmoid(const torch::Tensor& scores) { return scores.sigmoid(); }

HighOrderScanSettings of_block(const Json& a) { return {.width = a.at("dim"), .order = a.at("order")}; }

std::shared_ptr<torch::nn::Module> official_block(const Json& a) {
  return std::make_shared<HighOrderBlock>(of_block(a));
}

/// The official class takes maps.
std::shared_ptr<torch::nn::Module> official_scan(const Json& a) { return high_order_scan(of_block(a)); }

torch::Tensor run_scan(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
  return maps_of(dynamic_cast<Layer&>(module).forward(tokens_of(inputs.at("x")).contiguous()));
}

constexpr const char* kRepository = "wurenkai/H-vmunet";

}  // namespace

NetworkEntry h_vmunet_entry() {
  return hybrid_entry<HVmunetSettings>(
      {.name = "h_vmunet",
       .dims = {2},
       .source = "Wu et al.: H-vmunet: High-order Vision Mamba UNet for Medical Image Segmentation, 2024; "
                 "github.com/wurenkai/H-vmunet",
       .summary = "MALUNet's frame with blocks that gate and scan in turn over ever more channels",
       .parameters = 8'972'623,
       .small = R"({"classes": 3, "widths": [4, 4, 8, 16, 32, 32], "depths": [1, 1, 1, 1], "states": 2,
                    "drop_path": 0.0, "unused": false})",
       .small_edge = 64,
       .official = {{kRepository, "H_vmunet", official_settings, sigmoid}},
       .blocks = {{kRepository, {"Block (H_VSS)"}, official_block},
                  {kRepository, {"H_SS2D + Local_SS2D"}, official_scan, run_scan}}},
      [](const HVmunetSettings& s) { return make(s); });
}

}  // namespace mambaseg

// FastSurferCNN (Henschel et al. 2020) and FastSurferVINN (Henschel et al. 2022), after FastSurferCNN/models
// of github.com/Deep-MI/FastSurfer, whose module names they keep: 2-D networks on seven neighbouring slices,
// whose dense blocks take maxima (maxout) where others concatenate. VINN has one block more at each end, at
// the resolution of the image, and zooms to a grid of its own between; it is told the pixel sizes by
// set_scale_factors. Of that class, the original writes the rounded factors into the caller's tensor; here it
// stays as it was.

#include "mambaseg/nets/blocks/voxel_zoom.h"
#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/near_ties.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/nets/model/pixel_scale.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr size_t kScales = 4;  // above the bottleneck

struct FastSurferCnnSettings {
  int64_t in_channels = 7;
  int64_t classes = 79;
  int64_t width = 64;
  int64_t kernel = 3;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "slices: the one that is segmented in the middle of its neighbours",
          at_least(1));
    visit("classes", classes, "classes with background; officially 79, of sagittal slices 51", at_least(2));
    visit("width", width, "channels of every layer", at_least(1));
    visit("kernel", kernel, "edge of the convolutions, odd", at_least(1));
  }
};

struct FastSurferVinnSettings : FastSurferCnnSettings {
  FastSurferVinnSettings() { width = 71; }
  int64_t native_width = 32;
  std::vector<int64_t> grid{256, 256};
  std::string interpolation = "bilinear";
  std::string crop_position = "top_left";

  void describe(SettingsVisitor& visit) {
    FastSurferCnnSettings::describe(visit);
    visit("native_width", native_width, "channels at the resolution of the image", at_least(1));
    visit("grid", grid, "rows and columns at the network's own resolution, multiples of 16", at_least(16));
    visit("interpolation", interpolation, "between the resolutions", one_of({"bilinear", "bicubic"}));
    visit("crop_position", crop_position, "where the image lies on the grid",
          one_of({"top_left", "top_right", "bottom_left", "bottom_right", "center"}));
  }
};

/// What stands before the first convolution of a block, and whether its result competes with the input.
enum class BlockEntry {
  norm,     ///< batch norm "bn0"
  plain,    ///< the activation
  compete,  ///< the activation; then the maximum with the input
};

/// Competitive dense block: four convolutions with batch norm, the last but one of the results in competition
/// (elementwise maximum) with what came before. One PReLU slope for all. Prefixes "conv0" to "conv3",
/// `norms`1 to `norms`4, "prelu".
class CompetitiveBlock : public Layer {
 public:
  CompetitiveBlock(int64_t in, int64_t out, int64_t kernel, BlockEntry entry, const std::string& norms = "bn")
      : entry_(entry) {
    if (entry == BlockEntry::norm) norm0_ = register_module("bn0", std::make_shared<BatchNorm>(in));
    for (int i = 0; i < 4; ++i) {
      convs_.push_back(register_module("conv" + std::to_string(i), conv(2, i == 0 ? in : out, out, kernel)));
      norms_.push_back(register_module(norms + std::to_string(i + 1), std::make_shared<BatchNorm>(out)));
    }
    slope_ = register_module("prelu", std::make_shared<torch::nn::Module>())
                 ->register_parameter("weight", torch::full({1}, 0.25));
  }
  Tensor forward(const Tensor& x) override {
    const auto step = [&](size_t i, const Tensor& y) { return normed(*convs_[i], *norms_[i], y); };
    Tensor y = step(0, norm0_ ? norm0_->forward(x) : activated(x));
    if (entry_ == BlockEntry::compete) y = torch::max(y, x);
    y = torch::max(step(1, activated(y)), y);
    y = torch::max(step(2, activated(y)), y);
    return step(3, activated(y));
  }

 private:
  Tensor activated(const Tensor& x) const {
    // LibTorch's PReLU lays the channels first again.
    if (!torch::GradMode::is_enabled()) return torch::leaky_relu(x, slope_.item<double>());
    return torch::prelu(x, slope_.to(x.scalar_type()));
  }

  BlockEntry entry_;
  std::shared_ptr<BatchNorm> norm0_;
  std::vector<std::shared_ptr<Convolution>> convs_;
  std::vector<std::shared_ptr<BatchNorm>> norms_;
  Tensor slope_;
};

/// Features on their way down: halved, with where the maxima stood.
struct Halved {
  Tensor skip, pooled, indices;
};

Halved halved(const Tensor& x) {
  const auto [pooled, indices] = torch::max_pool2d_with_indices(x, {2, 2}, {2, 2});
  return {x, pooled, indices};
}

/// Each number back to where it stood, zeros between, in competition with the skip.
Tensor grown(const Tensor& x, const Halved& from) {
  // LibTorch 1.13 puts no 16-bit numbers back on the CPU.
  const Tensor wide = x.is_cpu() && x.element_size() < 4 ? x.to(torch::kFloat) : x;
  return torch::max(torch::max_unpool2d(wide, from.indices, spatial_size(from.skip)).to(x.scalar_type()),
                    from.skip);
}

/// The U of competitive blocks that both networks have. Prefixes "encode1" to "encode4", "bottleneck",
/// "decode4" to "decode1", of `owner`.
class CompetitiveUnet {
 public:
  CompetitiveUnet(torch::nn::Module& owner, int64_t in, const FastSurferCnnSettings& s) {
    const auto add = [&](const std::string& name, int64_t from, BlockEntry entry) {
      return owner.register_module(name, std::make_shared<CompetitiveBlock>(from, s.width, s.kernel, entry));
    };
    for (size_t i = 1; i <= kScales; ++i)
      encode_.push_back(add("encode" + std::to_string(i), i == 1 ? in : s.width,
                            i == 1 ? BlockEntry::norm : BlockEntry::compete));
    bottleneck_ = add("bottleneck", s.width, BlockEntry::compete);
    for (size_t i = kScales; i > 0; --i)
      decode_.push_back(add("decode" + std::to_string(i), s.width, BlockEntry::compete));
  }
  Tensor forward(Tensor x) const {
    std::vector<Halved> skips;
    for (const auto& block : encode_) {
      skips.push_back(halved(block->forward(x)));
      x = skips.back().pooled;
    }
    x = bottleneck_->forward(x);
    for (const auto& block : decode_) {
      x = block->forward(grown(x, skips.back()));
      skips.pop_back();
    }
    return x;
  }

 private:
  std::vector<std::shared_ptr<CompetitiveBlock>> encode_, decode_;  ///< in the order of their use
  std::shared_ptr<CompetitiveBlock> bottleneck_;
};

/// The 1x1 convolution to scores, "classifier.conv".
std::shared_ptr<Convolution> classifier(torch::nn::Module& owner, const FastSurferCnnSettings& s) {
  return owner.register_module("classifier", std::make_shared<torch::nn::Module>())
      ->register_module("conv", conv(2, s.width, s.classes, 1));
}

class FastSurferCnn : public Network, public TurnsOnNearTies {
 public:
  explicit FastSurferCnn(const FastSurferCnnSettings& s)
      : unet_(*this, s.in_channels, s), classifier_(classifier(*this, s)) {}
  Extent size_multiples() const override { return cube(2, int64_t{1} << kScales); }

 protected:
  std::vector<Tensor> scores(const Tensor& x) override { return {classifier_->forward(unet_.forward(x))}; }

 private:
  CompetitiveUnet unet_;
  std::shared_ptr<Convolution> classifier_;
};

class FastSurferVinn : public Network, public PixelScaled, public TurnsOnNearTies {
 public:
  explicit FastSurferVinn(const FastSurferVinnSettings& s)
      : grid_(s.grid), zoom_{s.interpolation, s.crop_position} {
    if (grid_.size() != 2 || grid_[0] % 16 != 0 || grid_[1] % 16 != 0)
      throw UsageError("grid: expected two multiples of 16");
    enter_ = register_module(
        "inp_block",
        std::make_shared<CompetitiveBlock>(s.in_channels, s.native_width, s.kernel, BlockEntry::norm, "gn"));
    unet_ = std::make_unique<CompetitiveUnet>(*this, s.native_width, s);
    leave_ =
        register_module("outp_block", std::make_shared<CompetitiveBlock>(s.width + s.native_width, s.width,
                                                                         s.kernel, BlockEntry::plain, "gn"));
    classifier_ = classifier(*this, s);
  }
  Extent size_multiples() const override { return cube(2, 1); }

 protected:
  std::vector<Tensor> scores(const Tensor& x) override {
    const Tensor factors = factors_B2_.defined() ? factors_B2_ : torch::ones({x.size(0), 2});
    const Tensor native = enter_->forward(x);
    const ZoomedImages inner = zoomed(native, grid_, factors, zoom_);
    const Tensor y = unet_->forward(inner.images_BCYX);
    const Tensor back = zoomed(y, spatial_size(x), 1 / inner.factors_B2, zoom_).images_BCYX;
    return {classifier_->forward(leave_->forward(torch::cat({back, native}, 1)))};
  }

 private:
  Extent grid_;
  ZoomSettings zoom_;
  std::shared_ptr<CompetitiveBlock> enter_, leave_;
  std::unique_ptr<CompetitiveUnet> unet_;
  std::shared_ptr<Convolution> classifier_;
};

/// Of the table "params" of all official constructors.
void read_params(const Json& p, FastSurferCnnSettings& s) {
  s.in_channels = p.at("num_channels");
  s.classes = p.at("num_classes");
  s.width = p.at("num_filters");
  s.kernel = p.at("kernel_h");
  if (p.at("kernel_w") != p.at("kernel_h") || argument<int64_t>(p, "kernel_c", 1) != 1)
    throw UsageError("kernel_h, kernel_w, kernel_c: expected two equal numbers and 1");
}

Json official_cnn_settings(const Json& a) {
  FastSurferCnnSettings s;
  read_params(a.at("params"), s);
  return to_json(s);
}

Json official_vinn_settings(const Json& a) {
  const Json& p = a.at("params");
  FastSurferVinnSettings s;
  read_params(p, s);
  s.native_width = p.at("num_filters_interpol");
  s.grid = {p.at("width").get<int64_t>(), p.at("height").get<int64_t>()};  // in this order, rows first
  s.interpolation = p.at("interpolation_mode").get<std::string>();
  s.crop_position = p.at("crop_position").get<std::string>();
  return to_json(s);
}

template <BlockEntry entry>
std::shared_ptr<torch::nn::Module> official_block(const Json& a) {
  FastSurferCnnSettings s;
  read_params(a.at("params"), s);
  return std::make_shared<CompetitiveBlock>(s.in_channels, s.width, s.kernel, entry,
                                            entry == BlockEntry::plain ? "gn" : "bn");
}
std::shared_ptr<torch::nn::Module> official_input_block(const Json& a) {
  FastSurferCnnSettings s;
  read_params(a.at("params"), s);
  const int64_t out = a.at("params").at("num_filters_interpol");
  return std::make_shared<CompetitiveBlock>(s.in_channels, out, s.kernel, BlockEntry::norm, "gn");
}
Tensor run_output_block(torch::nn::Module& module, const std::map<std::string, Tensor>& inputs) {
  return dynamic_cast<Layer&>(module).forward(torch::cat({inputs.at("x"), inputs.at("skip")}, 1));
}

/// An encoder block and the decoder block of its scale; prefixes "enc", "dec".
class DownAndUp : public Layer, public TurnsOnNearTies {
 public:
  DownAndUp(int64_t width, int64_t kernel) {
    for (const char* name : {"enc", "dec"})
      blocks_.push_back(register_module(
          name, std::make_shared<CompetitiveBlock>(width, width, kernel, BlockEntry::compete)));
  }
  Tensor forward(const Tensor& x) override {
    const Halved down = halved(blocks_[0]->forward(x));
    return blocks_[1]->forward(grown(down.pooled, down));
  }

 private:
  std::vector<std::shared_ptr<CompetitiveBlock>> blocks_;
};

std::shared_ptr<torch::nn::Module> official_down_and_up(const Json& a) {
  FastSurferCnnSettings s;
  read_params(a.at("params"), s);
  return std::make_shared<DownAndUp>(s.width, s.kernel);
}

constexpr const char* kRepository = "Deep-MI/FastSurfer";

}  // namespace

NetworkEntry fastsurfer_cnn_entry() {
  return network_entry<FastSurferCnnSettings>(
      {.name = "fastsurfer_cnn",
       .dims = {2},
       .source = "Henschel et al.: FastSurfer, NeuroImage 2020; github.com/Deep-MI/FastSurfer",
       .summary = "slices of the head with their neighbours: U-Net of competitive dense blocks",
       .parameters = 1'306'342,
       .small = R"({"in_channels": 3, "classes": 3, "width": 4})",
       .small_edge = 16,
       .official = {{kRepository, "FastSurferCNN", official_cnn_settings}},
       .blocks = {{kRepository, {"CompetitiveDenseBlock"}, official_block<BlockEntry::compete>},
                  {kRepository, {"CompetitiveDenseBlockInput"}, official_block<BlockEntry::norm>},
                  {kRepository,
                   {"CompetitiveEncoderBlock + CompetitiveDecoderBlock"},
                   official_down_and_up}}},
      [](const FastSurferCnnSettings& s) { return std::make_shared<FastSurferCnn>(s); });
}

NetworkEntry fastsurfer_vinn_entry() {
  return network_entry<FastSurferVinnSettings>(
      {.name = "fastsurfer_vinn",
       .dims = {2},
       .source = "Henschel, Kuegler, Reuter: FastSurferVINN, NeuroImage 2022; github.com/Deep-MI/FastSurfer",
       .summary = "slices of the head at any resolution: FastSurferCNN on a grid of its own",
       .parameters = 1'854'632,
       .small = R"({"in_channels": 3, "classes": 3, "width": 4, "native_width": 3, "grid": [16, 16]})",
       .small_edge = 16,
       .official = {{kRepository, "FastSurferVINN", official_vinn_settings}},
       .blocks = {{kRepository, {"InputDenseBlock"}, official_input_block},
                  {kRepository, {"OutputDenseBlock"}, official_block<BlockEntry::plain>, run_output_block}}},
      [](const FastSurferVinnSettings& s) { return std::make_shared<FastSurferVinn>(s); });
}

}  // namespace mambaseg

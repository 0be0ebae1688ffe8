#include "mambaseg/nets/blocks/x2net.h"

#include <algorithm>

#include "mambaseg/nets/blocks/lightm_blocks.h"
#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/unetr_blocks.h"
#include "mambaseg/nets/layers/resampling.h"

namespace mambaseg {
namespace {

using torch::Tensor;

/// Sizes rounded up.
Tensor halved(const Tensor& x) { return torch::max_pool2d(x, 2, 2, 0, 1, /*ceil_mode=*/true); }

class CeilingPool : public Layer {
 public:
  Tensor forward(const Tensor& x) override { return halved(x); }
};

Tensor resized_to(const Tensor& x, const Tensor& like) {
  const Extent size = spatial_size(like);
  return spatial_size(x) == size ? x : linear_resized(x, size);
}

std::string rsu_name(int64_t number, bool up) {
  return "rebnconv" + std::to_string(number) + (up ? "d" : "");
}

}  // namespace

U2Conv::U2Conv(int64_t in, int64_t out, int64_t dilation, bool separable) {
  if (separable)
    conv_ = separable_conv(2, in, out);
  else
    conv_ = conv(2, in, out, 3, {.dilation = cube(2, dilation)});
  register_module("conv_s1", conv_);
  norm_ = register_module("bn_s1", std::make_shared<BatchNorm>(out));
}

Tensor U2Conv::forward(const Tensor& x) {
  const Epilogue relu{Activation::relu, {}};
  if (auto* dense = dynamic_cast<DenseLayer*>(conv_.get())) return normed(*dense, *norm_, x, relu);
  return norm_->run(conv_->forward(x), relu);
}

ResidualU::ResidualU(int64_t levels, int64_t in, int64_t mid, int64_t out, bool separable)
    : halves_(levels > 0) {
  const int64_t depth = halves_ ? levels : 4;
  in_ = register_module("rebnconvin", std::make_shared<U2Conv>(in, out, 1, separable));
  const auto dilation = [&](int64_t level) {
    return halves_ ? (level == depth ? 2 : 1) : int64_t{1} << (level - 1);
  };
  for (int64_t level = 1; level <= depth; ++level)
    down_.push_back(
        register_module(rsu_name(level, false),
                        std::make_shared<U2Conv>(level == 1 ? out : mid, mid, dilation(level), separable)));
  for (int64_t level = depth - 1; level > 0; --level)
    up_.push_back(register_module(
        rsu_name(level, true),
        std::make_shared<U2Conv>(2 * mid, level == 1 ? out : mid, dilation(level), separable)));
}

Tensor ResidualU::forward(const Tensor& input) {
  const Tensor whole = in_->forward(input);
  std::vector<Tensor> skips{down_[0]->forward(whole)};
  for (size_t i = 1; i < down_.size(); ++i)
    skips.push_back(down_[i]->forward(halves_ && i + 1 < down_.size() ? halved(skips.back()) : skips.back()));
  Tensor x = skips.back();
  for (size_t i = 0; i < up_.size(); ++i) {
    const Tensor& skip = skips[up_.size() - 1 - i];
    x = up_[i]->forward(torch::cat({resized_to(x, skip), skip}, 1));
  }
  return x + whole;
}

GridMerging::GridMerging(const Settings& s) : settings_(s) {
  const int64_t joined = s.in * s.scale[0] * s.scale[1];
  reduction_ = register_module("reduction", std::make_shared<Linear>(joined, s.out, false));
  norm_ = register_module("norm", std::make_shared<LayerNorm>(joined, s.norm_eps));
}

Tensor GridMerging::forward(const Tensor& input) {
  const int64_t rows = settings_.scale[0], columns = settings_.scale[1];
  Tensor x = input;
  const auto over = [](int64_t size, int64_t scale) { return size % scale; };
  const int64_t odd_rows = over(x.size(2), rows), odd_columns = over(x.size(3), columns);
  if (odd_rows + odd_columns > 0)
    x = settings_.pads ? torch::constant_pad_nd(x, {0, odd_columns, 0, odd_rows})
                       : x.slice(2, 0, x.size(2) - odd_rows).slice(3, 0, x.size(3) - odd_columns);
  // (B, C, Y, rows, X, columns)
  const Tensor blocks =
      x.unflatten(2, std::vector<int64_t>{-1, rows}).unflatten(4, std::vector<int64_t>{-1, columns});
  const Tensor joined =
      blocks.permute(settings_.columns_first ? Extent{0, 2, 4, 5, 3, 1} : Extent{0, 2, 4, 3, 5, 1})
          .flatten(3);
  return reduction_->forward(norm_->forward(joined)).permute({0, 3, 1, 2});
}

GridExpanding::GridExpanding(int64_t in, int64_t out, Extent scale, double norm_eps)
    : projects_first_(out == 0), scale_(std::move(scale)) {
  const int64_t places = scale_[0] * scale_[1];
  const int64_t spread = std::max(scale_[0], scale_[1]) * in;  // behind a projection that comes first
  if (in % places != 0)
    throw UsageError(concat("network: ", in, " channels do not divide into a block of ", places, " tokens"));
  expand_ = register_module("expand", std::make_shared<Linear>(projects_first_ ? in : in / places,
                                                               projects_first_ ? spread : out, false));
  norm_ =
      register_module("norm", std::make_shared<LayerNorm>(projects_first_ ? spread / places : out, norm_eps));
}

Tensor GridExpanding::forward(const Tensor& x) {
  Tensor tokens = x.permute({0, 2, 3, 1});
  if (projects_first_) tokens = expand_->forward(tokens);
  const Tensor spread = tokens.unflatten(3, std::vector<int64_t>{scale_[0], scale_[1], -1})
                            .permute({0, 1, 3, 2, 4, 5})
                            .flatten(3, 4)
                            .flatten(1, 2);
  return norm_->forward(projects_first_ ? spread : expand_->forward(spread)).permute({0, 3, 1, 2});
}

GatedSpatialConvs::GatedSpatialConvs(int64_t dims, int64_t width)
    : a_(register_module("proj", separable_conv(dims, width, width, 3, true))),
      b_(register_module("proj2", std::make_shared<torch::nn::Module>())
             ->register_module("conv", conv(dims, width, width, 1))),
      c_(register_module("proj3", separable_conv(dims, width, width, 3, true))) {}

Tensor GatedSpatialConvs::forward(const Tensor& x) {
  const Tensor normed = norm_.forward(x);
  const Tensor sum = torch::relu(a_->forward(normed)) + b_->run(normed, {Activation::relu, {}});
  return x + torch::relu(c_->forward(norm_.forward(sum)));
}

X2Net::X2Net(const X2NetSettings& s, const X2NetParts& parts)
    : settings_(s), heads_at_full_size_(parts.heads_at_full_size) {
  const auto name = [](const char* what, int64_t number, bool decoder = false) {
    return what + std::to_string(number) + (decoder ? "d" : "");
  };
  const auto width = [&](int64_t number) { return s.encoder_width(number); };
  for (int64_t number = 1; number <= 6; ++number) {
    const bool grows = !s.even && parts.merging && number < 5;  // merging brings the width of the next scale
    const int64_t in = number == 1                ? s.in_channels
                       : parts.merging && !s.even ? width(number)
                                                  : width(number - 1);
    encoder_.push_back(register_module(name("stage", number), parts.stage(number, false, in, width(number))));
    if (number == 6) break;
    if (parts.merging && number <= parts.last_merging)
      merging_.push_back(
          register_module(name("patch_merging", number),
                          parts.merging(number, width(number), grows ? width(number + 1) : width(number))));
    else
      merging_.push_back(std::make_shared<CeilingPool>());
  }
  int64_t below = width(6);
  for (int64_t number = 5; number > 0; --number) {
    const int64_t skip = width(number);
    int64_t grown = below;
    std::shared_ptr<Layer> expanding;
    if (parts.expanding && number <= parts.first_expanding) {
      grown = skip;
      expanding = register_module(name("patch_expand", number, true), parts.expanding(number, below, grown));
    }
    expanding_.push_back(expanding);
    // U2-Net narrows to what the next scale has; X2Net keeps, its small variants keep both.
    const int64_t kept = s.even ? 2 * skip : skip;
    const int64_t out = parts.expanding ? kept : width(std::max<int64_t>(number - 1, 1));
    const bool joins = expanding && number < 5 && (!s.even || parts.joins_even);
    join_.push_back(joins ? register_module(name("concat_back_dim", number, true),
                                            std::make_shared<Linear>(2 * skip, kept))
                          : nullptr);
    const int64_t in = joins ? kept : grown + skip;
    decoder_.push_back(register_module(name("stage", number, true), parts.stage(number, true, in, out)));
    below = out;
    const auto head = [&](int64_t in, int64_t edge) -> std::shared_ptr<Layer> {
      const auto layer = conv(2, in, s.classes, parts.pointwise_heads ? 1 : edge);
      if (parts.pointwise_heads) return std::make_shared<MonaiConvolution>(layer);
      return layer;
    };
    heads_.insert(heads_.begin(), head(out, 3));
    if (number == 5) heads_.push_back(head(width(6), 3));
    if (number == 1) out_ = register_module("outconv", head(6 * s.classes, 1));
  }
  for (size_t i = 0; i < heads_.size(); ++i)
    register_module(name("side", static_cast<int64_t>(i) + 1), heads_[i]);
}

void X2Net::start_convolutions() {
  for (const auto& part : modules(/*include_self=*/false))
    if (auto* convolution = dynamic_cast<Convolution*>(part.get()))
      start_weights(Start::nnunet, convolution->weight, convolution->bias);
}

std::vector<Tensor> X2Net::scores(const Tensor& input) {
  std::vector<Tensor> skips;
  for (size_t i = 0; i < encoder_.size(); ++i)
    skips.push_back(encoder_[i]->forward(i == 0 ? input : merging_[i - 1]->forward(skips.back())));
  std::vector<Tensor> features{skips.back()};  // finest first in the end
  for (size_t i = 0; i < decoder_.size(); ++i) {
    const Tensor& skip = skips[skips.size() - 2 - i];
    const Tensor grown =
        expanding_[i] ? expanding_[i]->forward(features.front()) : resized_to(features.front(), skip);
    Tensor x = torch::cat({grown, skip}, 1);
    if (join_[i]) x = join_[i]->forward(x.permute({0, 2, 3, 1})).permute({0, 3, 1, 2});
    features.insert(features.begin(), decoder_[i]->forward(x));
  }
  std::vector<Tensor> scores, whole;
  for (size_t i = 0; i < heads_.size(); ++i) {
    scores.push_back(heads_[i]->forward(features[i]));
    whole.push_back(resized_to(scores.back(), scores.front()));
  }
  std::vector<Tensor> out{out_->forward(torch::cat(whole, 1))};
  if (!wants_all_scales() || !settings_.deep_supervision) return out;
  const auto& sides = heads_at_full_size_ ? whole : scores;
  out.insert(out.end(), sides.begin(), sides.end());
  return out;
}

void read_x2net_arguments(const Json& a, X2NetSettings& s) {
  s.in_channels = argument<int64_t>(a, "in_ch", argument<int64_t>(a, "in_channels", 3));
  s.classes = argument<int64_t>(a, "out_ch", argument<int64_t>(a, "out_channels", 1));
  s.deep_supervision = argument(a, "deep_supervision", false);
}

void require_plane(const Json& a) {
  const auto dims = argument<int64_t>(a, "spatial_dims", 2);
  if (dims != 2) throw UsageError(concat("spatial_dims: expected 2, as published, got ", dims));
}

namespace {

using Part = std::shared_ptr<torch::nn::Module>;

/// The argument "scale": one number for both axes or one each.
Extent scale_of(const Json& a) {
  const Json scale = a.value("scale", Json(2));
  return scale.is_number() ? cube(2, scale) : scale.get<Extent>();
}

template <int levels>
Part residual_u(const Json& a) {
  return std::make_shared<ResidualU>(levels, argument<int64_t>(a, "in_ch", 3),
                                     argument<int64_t>(a, "mid_ch", 12), argument<int64_t>(a, "out_ch", 3));
}

Part single_conv(const Json& a, bool separable) {
  return std::make_shared<U2Conv>(argument<int64_t>(a, "in_ch", 3), argument<int64_t>(a, "out_ch", 3),
                                  argument<int64_t>(a, "dirate", 1), separable);
}

Part merging(const Json& a, bool columns_first, bool pads) {
  const Extent scale = scale_of(a);
  const int64_t in = a.at("input_dim");
  return std::make_shared<GridMerging>(GridMerging::Settings{
      in, argument<int64_t>(a, "output_features", in * scale[0]), scale, columns_first, pads});
}

}  // namespace

std::vector<OfficialBlock> official_x2net() {
  const auto add = [](std::vector<std::string> names, Part (*make)(const Json&)) {
    return OfficialBlock{kX2NetRepository, std::move(names), make};
  };
  return {add({"REBNCONV (lm2net)"}, [](const Json& a) { return single_conv(a, true); }),
          add({"REBNCONV"}, [](const Json& a) { return single_conv(a, false); }),
          add({"RSU4F (lm2net)"},
              [](const Json& a) -> Part {
                return std::make_shared<ResidualU>(0, a.at("in_ch").get<int64_t>(),
                                                   a.at("mid_ch").get<int64_t>(),
                                                   a.at("out_ch").get<int64_t>(), /*separable=*/true);
              }),
          add({"RSU4F"}, residual_u<0>),
          add({"RSU4"}, residual_u<4>),
          add({"RSU5"}, residual_u<5>),
          add({"RSU6"}, residual_u<6>),
          add({"RSU7"}, residual_u<7>),
          add({"GSC"},
              [](const Json& a) -> Part {
                return std::make_shared<GatedSpatialConvs>(a.at("spatial_dims").get<int64_t>(),
                                                           a.at("in_channels").get<int64_t>());
              }),
          add({"PatchMerging2D (ssnd2net)"}, [](const Json& a) { return merging(a, true, true); }),
          add({"PatchMerging2D"},
              [](const Json& a) {
                require_plane(a);
                const bool later = a.contains("spatial_dims");
                return merging(a, !later, later);
              }),
          add({"PatchExpand"}, [](const Json& a) -> Part {
            require_plane(a);
            return std::make_shared<GridExpanding>(a.at("dim").get<int64_t>(),
                                                   argument<int64_t>(a, "output_dim", 0), scale_of(a));
          })};
}

}  // namespace mambaseg

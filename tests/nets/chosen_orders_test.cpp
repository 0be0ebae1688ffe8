// Scan orders chosen by name, and QuarterMap: mixers against explicit permutations and plain scans.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/nets/blocks/bidirectional_mamba.h"
#include "mambaseg/nets/blocks/ss2d.h"
#include "mambaseg/nets/blocks/ss3d.h"
#include "mambaseg/nets/blocks/tri_orientated_mamba.h"
#include "mambaseg/nets/layers/chosen_orders.h"
#include "mambaseg/nets/model/checkpoint.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

constexpr int64_t kWidth = 6, kStates = 3;

template <class Mixer, class Settings>
std::shared_ptr<Mixer> mixer_along(const std::string& orders, const Settings& settings) {
  const ChosenOrdersGuard guard(orders);
  return std::make_shared<Mixer>(settings);
}

torch::Tensor index_of(const ScanOrder& order) {
  return torch::tensor(std::vector<int64_t>(order.begin(), order.end()));
}

/// What `read` makes of the tokens (B, sizes..., C) in the order of the walk, brought back.
template <class Read>
torch::Tensor permuted(const torch::Tensor& x, const ScanOrder& walk, const Read& read) {
  const torch::Tensor along = x.flatten(1, -2).index_select(1, index_of(walk));
  return read(along).index_select(1, index_of(inverse(walk))).view_as(x);
}

/// The scans of SS2D and SS3D one after the other, on copies of the tokens in the order of each walk.
torch::Tensor scans_one_by_one(torch::nn::Module& mixer, const torch::Tensor& u,
                               const std::vector<ScanOrder>& walks) {
  const auto parameters = mixer.named_parameters();
  const auto K = static_cast<int64_t>(walks.size());
  torch::Tensor sum = torch::zeros_like(u);
  for (int64_t k = 0; k < K; ++k) {
    const auto of_walk = [&](const char* name) { return parameters[name].chunk(K)[static_cast<size_t>(k)]; };
    ScanWeights weights{of_walk("x_proj_weight"), of_walk("dt_projs_weight"), of_walk("dt_projs_bias"),
                        of_walk("A_logs").unsqueeze(0), of_walk("Ds").unsqueeze(0)};
    sum = sum + permuted(u, walks[static_cast<size_t>(k)], [&](const torch::Tensor& along) {
            return selective_scan(project_scan_inputs(along, weights));
          });
  }
  return sum;
}

/// What an SS2D (dims 2, gated) or SS3D (3) is, from its parameters; `mix` stands for the scans and their
/// norm.
template <class Mix>
torch::Tensor mixer_of(torch::nn::Module& mixer, const torch::Tensor& x, const Mix& mix) {
  auto p = mixer.named_parameters();
  const bool plane = x.dim() == 4;
  const torch::Tensor projected = torch::linear(x, p["in_proj.weight"]);
  const int64_t channels = p["out_proj.weight"].size(1);
  const torch::Tensor maps = projected.narrow(-1, 0, channels).movedim(-1, 1);
  const std::string conv = plane ? "conv2d" : "conv3d";
  const torch::Tensor convolved =
      plane ? torch::conv2d(maps, p[conv + ".weight"], p[conv + ".bias"], 1, 1, 1, channels)
            : torch::conv3d(maps, p[conv + ".weight"], p[conv + ".bias"], 1, 1, 1, channels);
  torch::Tensor y = mix(torch::silu(convolved).movedim(1, -1).contiguous());
  if (plane) y = y * torch::silu(projected.narrow(-1, channels, channels));
  return torch::linear(y, p["out_proj.weight"]);
}

torch::Tensor normed(torch::nn::Module& mixer, const torch::Tensor& y) {
  auto p = mixer.named_parameters();
  return torch::layer_norm(y, {y.size(-1)}, p["out_norm.weight"], p["out_norm.bias"]);
}

void expect_same(const torch::Tensor& ours, const torch::Tensor& theirs, const std::string& name) {
  EXPECT_TRUE(torch::allclose(ours, theirs, 1e-4, 1e-5))
      << name << " " << (ours - theirs).abs().max().item<double>();
}

std::string name_of(const ScanOrderFamily& family, int orientation) {
  return family.name + ":" + std::to_string(orientation);
}

class EveryFamily : public testing::TestWithParam<std::string> {
 protected:
  EveryFamily() { torch::manual_seed(5); }
  NamedOrders orders() const { return named_orders(GetParam()); }
  bool planar() const { return orders().family->planar; }
  torch::Tensor plane_ = torch::randn({2, 5, 4, kWidth}), volume_ = torch::randn({2, 3, 4, 2, kWidth});
  torch::NoGradGuard no_grad_;
};

TEST_P(EveryFamily, IsFollowedBySs2dWithWeightsForEachWalk) {
  const auto mixer = mixer_along<SS2D>(GetParam(), Ss2dSettings{.width = kWidth, .states = kStates});
  EXPECT_EQ(mixer->named_parameters()["x_proj_weight"].size(0), orders().walks());
  expect_same(mixer->forward(plane_),
              mixer_of(*mixer, plane_,
                       [&](const torch::Tensor& u) {
                         return normed(*mixer, scans_one_by_one(*mixer, u, orders().over({1, 5, 4})));
                       }),
              GetParam());
}

TEST_P(EveryFamily, IsFollowedBySs3dWithWeightsForEachWalk) {
  const Ss3dSettings settings{.width = kWidth, .states = kStates, .expand = 2};
  if (planar()) {
    EXPECT_THROW(mixer_along<SS3D>(GetParam(), settings), UsageError);
    return;
  }
  const auto mixer = mixer_along<SS3D>(GetParam(), settings);
  EXPECT_EQ(mixer->named_parameters()["x_proj_weight"].size(0), orders().walks());
  expect_same(mixer->forward(volume_),
              mixer_of(*mixer, volume_,
                       [&](const torch::Tensor& u) {
                         return normed(*mixer, scans_one_by_one(*mixer, u, orders().over({3, 4, 2})));
                       }),
              GetParam());
}

TEST_P(EveryFamily, IsFollowedByMambaForwardsAndBackwards) {
  MambaSettings settings{.width = kWidth, .states = kStates};
  Mamba plain(settings);
  settings.dims = 2;
  const auto mamba = mixer_along<Mamba>(GetParam(), settings);
  load_weights(*mamba, weights_of(plain));
  const ScanOrder walk = orders().over({1, 5, 4}).front();
  for (const bool backwards : {false, true})
    expect_same(mamba->read(plane_, backwards),
                permuted(plane_, walk, [&](const torch::Tensor& x) { return plain.read(x, backwards); }),
                GetParam());
  settings.dims = 3;
  if (planar()) {
    EXPECT_THROW(mixer_along<Mamba>(GetParam(), settings), UsageError);
  } else {
    const auto mamba3d = mixer_along<Mamba>(GetParam(), settings);
    load_weights(*mamba3d, weights_of(plain));
    expect_same(mamba3d->forward(volume_),
                permuted(volume_, orders().over({3, 4, 2}).front(),
                         [&](const torch::Tensor& x) { return plain.forward(x); }),
                GetParam());
  }
}

TEST_P(EveryFamily, IsFollowedByBothBidirectionalMambas) {
  for (const bool shared : {false, true}) {
    BidirectionalMambaSettings settings;
    settings.width = kWidth;
    settings.shared = shared;
    BidirectionalMamba plain(settings);
    settings.dims = 2;
    const auto mamba = mixer_along<BidirectionalMamba>(GetParam(), settings);
    load_weights(*mamba, weights_of(plain));
    expect_same(mamba->forward(plane_),
                permuted(plane_, orders().over({1, 5, 4}).front(),
                         [&](const torch::Tensor& x) { return plain.forward(x); }),
                GetParam());
  }
}

/// Of a parameter of Mamba in the branch of that suffix.
std::string name_in_branch(const std::string& name, const std::string& suffix) {
  if (name.starts_with("in_proj") || name.starts_with("out_proj")) return name;
  const size_t end = std::min(name.find(name == "A_log" ? '_' : '.'), name.size());
  return name.substr(0, end) + suffix + name.substr(end);
}

TEST_P(EveryFamily, GivesTriOrientatedMambaABranchForEachWalk) {
  const TriOrientatedMambaSettings settings{.width = kWidth, .states = kStates};
  if (planar()) {
    EXPECT_THROW(mixer_along<TriOrientatedMamba>(GetParam(), settings), UsageError);
    return;
  }
  const auto mamba = mixer_along<TriOrientatedMamba>(GetParam(), settings);
  const std::vector<ScanOrder> walks = orders().over({3, 4, 2});
  const Weights weights = weights_of(*mamba);
  torch::Tensor sum = torch::zeros_like(volume_);
  for (size_t i = 0; i < walks.size(); ++i) {
    const std::string suffix = i == 0 ? "" : i == 1 ? "_b" : i == 2 ? "_s" : "_" + std::to_string(i);
    Mamba one({.width = kWidth, .states = kStates});
    Weights of_branch;
    for (const auto& [name, tensor] : weights_of(one))
      of_branch[name] = weights.at(name_in_branch(name, suffix));
    load_weights(one, of_branch);
    sum = sum + permuted(volume_, walks[i], [&](const torch::Tensor& x) { return one.forward(x); });
  }
  expect_same(mamba->forward(volume_), sum, GetParam());
}

std::vector<std::string> all_orders() {
  std::vector<std::string> names;
  for (const ScanOrderFamily& family : scan_order_families())
    for (int orientation = 0; orientation < family.orientations; ++orientation)
      names.push_back(name_of(family, orientation));
  return names;
}

INSTANTIATE_TEST_SUITE_P(Mixers, EveryFamily, testing::ValuesIn(all_orders()), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), ':', '_');
  return name;
});

// Networks: the setting reaches their mixers.

Json small_settings(const NetworkEntry& entry, int dims, const std::string& orders) {
  Json settings = entry.settings();
  settings.update(entry.small);
  if (entry.dims.size() > 1) settings["dims"] = dims;
  settings["orders"] = orders;
  return settings;
}

torch::Tensor small_input(const NetworkEntry& entry, const Json& settings, int dims, int64_t edges = 1) {
  std::vector<int64_t> sizes{1, settings["in_channels"].get<int64_t>()};
  sizes.resize(static_cast<size_t>(2 + dims), edges * entry.small_edge);
  torch::manual_seed(8);
  return torch::rand(sizes);
}

/// Scores and gradients, finite, of a small network on so many of its least edges, in one row. Gradients tell
/// orders apart where a branch weighs too little for the scores.
torch::Tensor trained(const NetworkEntry& entry, int dims, const std::string& orders, int64_t edges = 1) {
  const Json settings = small_settings(entry, dims, orders);
  torch::manual_seed(7);
  const auto network = entry.make(settings);
  network->eval();
  const torch::Tensor scores = network->forward(small_input(entry, settings, dims, edges))[0];
  (scores * torch::rand_like(scores)).sum().backward();
  EXPECT_TRUE(scores.isfinite().all().item<bool>()) << entry.name << " " << orders;
  std::vector<torch::Tensor> all{scores.detach().flatten()};
  for (const auto& parameter : network->named_parameters()) {
    const torch::Tensor& gradient = parameter.value().grad();
    if (!gradient.defined()) continue;
    EXPECT_TRUE(gradient.isfinite().all().item<bool>())
        << entry.name << " " << orders << " " << parameter.key();
    all.push_back(gradient.flatten());
  }
  return torch::cat(all);
}

// One network for each kind of mixer.
TEST(ChosenOrders, EveryFamilyTrainsInNetworksOfEveryMixer) {
  for (const std::string& orders : all_orders()) {
    for (const char* name : {"vm_unet", "ultralight_vm_unet"}) trained(find_network(name), 2, orders);
    for (const char* name : {"medsegmamba", "segmamba", "umamba_bot"}) {
      if (named_orders(orders).family->planar) {
        EXPECT_THROW(trained(find_network(name), 3, orders), UsageError) << name << " " << orders;
      } else {
        trained(find_network(name), 3, orders);
      }
    }
  }
}

// MobileViM's Mamba reads the features' axes, which are no grid.
TEST(ChosenOrders, ChangeWhatEveryNetworkWithScansOfAGridGives) {
  std::vector<std::string> refusing;
  for (const NetworkEntry& entry : networks()) {
    if (!entry.settings().contains("orders")) continue;
    for (const int dims : entry.dims) {
      try {
        const auto differ = [&](int64_t edges) {  // as many walks, so equal weights
          return !torch::equal(trained(entry, dims, "hilbert", edges),
                               trained(entry, dims, "z_order", edges));
        };
        EXPECT_TRUE(differ(1) || differ(2)) << entry.name << " " << dims;  // on few tokens both are raster
      } catch (const UsageError& error) {
        EXPECT_THAT(error.what(),
                    testing::HasSubstr("orders: expected a network with scans that read a grid"));
        refusing.push_back(entry.name);
      }
    }
  }
  EXPECT_THAT(refusing, testing::ElementsAre("mobilevim"));
}

TEST(ChosenOrders, AreKeptWithTheModel) {
  const TemporaryFolder folder;
  const NetworkEntry& entry = find_network("vm_unet");
  Json settings = small_settings(entry, 2, "spiral");
  const auto network = entry.make(settings);
  network->eval();
  settings["name"] = entry.name;
  save_model(folder / "model.safetensors", *network,
             {settings, Json::object(), Json::object(), Json::object()});
  const Model model = load_model(folder / "model.safetensors");
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = small_input(entry, settings, 2);
  EXPECT_TRUE(torch::equal(network->forward(x)[0], model.network->forward(x)[0]));
}

// QuarterMap.

class QuarterMap : public testing::Test {
 protected:
  QuarterMap() : mixer_((torch::manual_seed(4), Ss2dSettings{.width = kWidth, .states = kStates})) {}
  SS2D mixer_;
  torch::NoGradGuard no_grad_;
};

TEST_F(QuarterMap, ScansOneOfFourAndGivesItToAll) {
  for (const auto& [Y, X] : {std::pair<int64_t, int64_t>{4, 6}, {5, 3}, {1, 1}}) {
    const torch::Tensor x = torch::randn({2, Y, X, kWidth});
    mixer_.quarter_from(1);
    const torch::Tensor expected = mixer_of(mixer_, x, [&, Y = Y, X = X](const torch::Tensor& u) {
      const torch::Tensor rows = torch::arange(0, Y, 2), columns = torch::arange(0, X, 2);
      const torch::Tensor kept = u.index_select(1, rows).index_select(2, columns);
      const torch::Tensor scanned =
          normed(mixer_, scans_one_by_one(mixer_, kept, cross_orders({1, rows.numel(), columns.numel()})));
      return scanned.index_select(1, torch::arange(Y).div(2, "floor"))
          .index_select(2, torch::arange(X).div(2, "floor"));
    });
    expect_same(mixer_.forward(x), expected, std::to_string(Y) + " x " + std::to_string(X));
  }
}

TEST_F(QuarterMap, LeavesSmallerPlanesAsTheyAre) {
  const torch::Tensor x = torch::randn({2, 4, 6, kWidth}), whole = mixer_.forward(x);
  mixer_.quarter_from(25);
  EXPECT_TRUE(torch::equal(mixer_.forward(x), whole));
  mixer_.quarter_from(24);
  EXPECT_FALSE(torch::allclose(mixer_.forward(x), whole, 1e-3, 1e-3));
  mixer_.quarter_from(0);
  EXPECT_TRUE(torch::equal(mixer_.forward(x), whole));
}

TEST_F(QuarterMap, IsRefusedByNetworksWithoutSs2d) {
  const auto network = find_network("unet").make(find_network("unet").small);
  EXPECT_THROW(quarter_scans(*network, 1), UsageError);
}

}  // namespace
}  // namespace mambaseg

// Weak-Mamba-UNet (Wang, Ma 2024): three networks that are trained together on scribbles, a CNN, a
// Transformer and a Mamba, and teach each other through the loss cross_pseudo_supervision. While training it
// gives the scores of each; else it predicts by the mean of their probabilities, where the authors keep each
// on its own: so does `mambaseg convert --member NAME`, which takes one out of the model.

#include <numeric>

#include "mambaseg/nets/model/hybrid_entry.h"
#include "mambaseg/nets/model/members.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr const char* kMembers[] = {"swin_unet", "mamba_unet", "weakmamba_unet"};  // in the official order

/// Settings of a network but for what the whole decides.
Json member_settings(const char* name) {
  Json settings = find_network(name).settings();
  for (const char* of_the_whole : {"in_channels", "classes", "without_mamba", "orders"})
    settings.erase(of_the_whole);
  return settings;
}

struct WeakMambaUnetSettings {
  int64_t in_channels = 1;
  int64_t classes = 4;
  Json swin_unet = member_settings("swin_unet");
  Json mamba_unet = member_settings("mamba_unet");
  Json weakmamba_unet = member_settings("weakmamba_unet");

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes with background", at_least(2));
    visit("swin_unet", swin_unet, "settings of the Transformer (mambaseg networks swin_unet)");
    visit("mamba_unet", mamba_unet, "settings of the Mamba (mambaseg networks mamba_unet)");
    visit("weakmamba_unet", weakmamba_unet, "settings of the CNN (mambaseg networks weakmamba_unet)");
  }
};

class WeakMambaUnet : public Network {
 public:
  explicit WeakMambaUnet(const WeakMambaUnetSettings& s) {
    Json settings = to_json(s);
    settings["without_mamba"] = WithoutScansGuard::active();
    if (const auto orders = ChosenOrdersGuard::take()) settings["orders"] = orders->name();
    for (const char* name : kMembers)
      members_.push_back(register_module(
          name, with_context(name, [&] { return make_network(member_config(settings, name)); })));
  }

  Extent size_multiples() const override {
    Extent all{1, 1};
    for (const auto& member : members_)
      for (size_t axis = 0; axis < all.size(); ++axis)
        all[axis] = std::lcm(all[axis], member->size_multiples()[axis]);
    return all;
  }

 protected:
  std::vector<Tensor> scores(const Tensor& x_BCYX) override {
    std::vector<Tensor> each;
    for (const auto& member : members_) each.push_back(member->forward(x_BCYX)[0]);
    if (wants_all_scales()) return each;
    Tensor sum;
    for (const Tensor& one : each) {
      const Tensor p = torch::softmax(one, 1, torch::promote_types(one.scalar_type(), torch::kFloat32));
      sum = sum.defined() ? sum + p : p;
    }
    // Scores whose softmax is the mean, finite where that is 0.
    return {(sum / static_cast<double>(each.size())).clamp_min(1e-30).log().to(each[0].scalar_type())};
  }

 private:
  std::vector<std::shared_ptr<Network>> members_;
};

}  // namespace

NetworkEntry weak_mamba_unet_entry() {
  return hybrid_entry<WeakMambaUnetSettings>(
      {.name = "weak_mamba_unet",
       .dims = {2},
       .source = "Wang, Ma: Weak-Mamba-UNet: Visual Mamba Makes CNN and ViT Work Better for Scribble-based "
                 "Medical Image Segmentation, 2024; github.com/ziyangwang007/Weak-Mamba-UNet",
       .summary = "Swin-Unet, Mamba-UNet and weakmamba_unet, which teach each other from scribbles",
       .parameters = 48'103'848,
       .small = R"({"classes": 3,
           "swin_unet": {"width": 8, "depths": [2, 1], "heads": [1, 2], "window": 3, "edge": 32, "drop_path": 0.0},
           "mamba_unet": {"widths": [8, 16, 32, 64], "depths": [1, 1, 1, 1], "states": 4, "drop_path": 0.0},
           "weakmamba_unet": {"widths": [4, 6, 8], "dropout": [0.1, 0.1, 0.1]}})",
       .small_edge = 32},
      [](const WeakMambaUnetSettings& s) { return std::make_shared<WeakMambaUnet>(s); });
}

}  // namespace mambaseg

// U2-Net (Qin et al. 2020) as nnUZoo has it, whose module names it keeps: a U of six scales, each of which is
// a residual U of convolutions; the baseline of the networks that put other Us in their place (m2net, lm2net,
// unetr2net, swt2net). `even` is its small variant (U2NETP), there with a width of 64.

#include "mambaseg/nets/blocks/x2net.h"

namespace mambaseg {
namespace {

struct U2NetSettings : X2NetSettings {
  int64_t mid = 32;

  U2NetSettings() {
    in_channels = 1;
    width = 64;
    doublings = 3;
  }
  void describe(SettingsVisitor& visit) {
    X2NetSettings::describe(visit);
    visit("mid", mid,
          "channels inside the Us; unless even those of the two finest scales, doubled from there to the "
          "fifth, and "
          "half as many at the decoder's finest",
          at_least(2));
  }
};

class U2Net : public X2Net {
 public:
  explicit U2Net(const U2NetSettings& s)
      : X2Net(s, {.stage =
                      [&](int64_t number, bool decoder, int64_t in, int64_t out) {
                        int64_t mid = s.mid;
                        if (!s.even)
                          mid =
                              number == 1 && decoder ? mid / 2 : mid << std::clamp<int64_t>(number - 2, 0, 3);
                        return std::make_shared<ResidualU>(number < 5 ? 8 - number : 0, in, mid, out);
                      },
                  .heads_at_full_size = true}) {}
  Extent size_multiples() const override { return cube(2, 1); }
  Extent least_sizes() const override { return cube(2, 32); }
};

Json official_settings(const Json& a) {
  U2NetSettings s;
  read_x2net_arguments(a, s);
  return to_json(s);
}

Json official_small_settings(const Json& a) {
  Json settings = official_settings(a);
  settings.update({{"even", true}, {"mid", 16}});
  return settings;
}

}  // namespace

NetworkEntry u2net_entry() {
  return network_entry<U2NetSettings>(
      {.name = "u2net",
       .dims = {2},
       .source =
           "Qin et al.: U2-Net: Going Deeper with Nested U-Structure for Salient Object Detection, 2020; "
           "github.com/AI-in-Cardiovascular-Medicine/nnUZoo",
       .summary = "2-D U-Net of residual U-Nets, scores of all scales joined",
       .parameters = 44'022'566,
       .small = R"({"classes": 3, "even": true, "width": 4, "mid": 2})",
       .small_edge = 32,
       .official = {{kX2NetRepository, "U2NET", official_settings},
                    {kX2NetRepository, "U2NETP", official_small_settings}}},
      [](const U2NetSettings& s) { return std::make_shared<U2Net>(s); });
}

}  // namespace mambaseg

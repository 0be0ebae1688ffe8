// Start weights from encoders that others published, under the names and in the shapes of their files.
#include "mambaseg/nets/pretrained/pretrained.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mambaseg {
namespace {

std::shared_ptr<Network> small_network(const std::string& name) {
  torch::manual_seed(1);
  return find_network(name).make(find_network(name).small);
}

/// The entries of `whole` below `prefix`, without it, with values of their own.
Weights drawn_below(const Weights& whole, const std::string& prefix) {
  torch::manual_seed(2);
  Weights out;
  for (const auto& [name, tensor] : whole)
    if (name.starts_with(prefix) && tensor.is_floating_point())
      out[name.substr(prefix.size())] = torch::rand_like(tensor);
  return out;
}

bool is_in(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// What a VMamba classifier with the encoder of `network` holds.
Weights vmamba_file(const Network& network, const std::string& prefix) {
  Weights file;
  for (const auto& [name, tensor] : drawn_below(weights_of(network), prefix))
    if (name.starts_with("patch_embed.") || name.starts_with("layers.")) file[name] = tensor;
  file["norm.weight"] = torch::rand({64});
  file["head.weight"] = torch::rand({1000, 64});
  EXPECT_EQ(file.count("layers.0.blocks.0.self_attention.x_proj_weight"), 1u);
  EXPECT_EQ(file.count("layers.1.blocks.0.ln_1.weight"), 1u);
  return file;
}

TEST(Pretrained, VMambaStartsEncoderAndMirroredDecoderOfVmUnet) {
  const auto network = small_network("vm_unet");
  const Weights file = vmamba_file(*network, "vmunet.");
  const StartReport report = start_from(*network, "vm_unet", file);
  const Weights own = weights_of(*network);
  EXPECT_EQ(report.encoder, "VMamba");
  EXPECT_TRUE(torch::equal(own.at("vmunet.patch_embed.proj.weight"), file.at("patch_embed.proj.weight")));
  for (const auto& [name, tensor] : own)
    if (name.starts_with("vmunet.layers.")) {
      EXPECT_TRUE(torch::equal(tensor, file.at(name.substr(7)))) << name;
    }
  EXPECT_TRUE(torch::equal(own.at("vmunet.layers_up.3.blocks.0.self_attention.Ds"),
                           file.at("layers.0.blocks.0.self_attention.Ds")));
  EXPECT_TRUE(torch::equal(own.at("vmunet.layers_up.0.blocks.0.ln_1.weight"),
                           file.at("layers.3.blocks.0.ln_1.weight")));
  EXPECT_TRUE(is_in(report.untouched, "vmunet.final_conv.weight"));
  EXPECT_TRUE(is_in(report.unused, "head.weight"));
  EXPECT_EQ(report.taken + static_cast<int64_t>(report.untouched.size()), report.tensors);
  EXPECT_THAT(report.text(), testing::HasSubstr("from VMamba"));
  EXPECT_EQ(report.text().find('\n'), std::string::npos);
}

TEST(Pretrained, VMambaStartsTheStagesOfSwinUMambaButNotItsPatches) {
  for (const char* name : {"swin_umamba", "swin_umamba_d"}) {
    const auto network = small_network(name);
    Weights file;  // its own names have the mergings apart
    for (const auto& [entry, tensor] : drawn_below(weights_of(*network), "vssm_encoder."))
      file[entry.starts_with("downsamples.") ? concat("layers.", entry[12], ".downsample", entry.substr(13))
                                             : entry] = tensor;
    ASSERT_EQ(file.count("layers.0.downsample.reduction.weight"), 1u);
    const torch::Tensor patches = weights_of(*network).at("vssm_encoder.patch_embed.proj.weight").clone();
    const StartReport report = start_from(*network, name, file);
    const Weights own = weights_of(*network);
    EXPECT_EQ(report.encoder, "VMamba");
    EXPECT_TRUE(torch::equal(own.at("vssm_encoder.downsamples.0.reduction.weight"),
                             file.at("layers.0.downsample.reduction.weight")));
    EXPECT_TRUE(torch::equal(own.at("vssm_encoder.layers.1.blocks.0.self_attention.A_logs"),
                             file.at("layers.1.blocks.0.self_attention.A_logs")));
    EXPECT_TRUE(torch::equal(own.at("vssm_encoder.patch_embed.proj.weight"), patches));
    EXPECT_TRUE(is_in(report.unused, "patch_embed.proj.weight"));
  }
}

TEST(Pretrained, SwinStartsSwinUnet) {
  Json settings = find_network("swin_unet").small;  // with the four stages of the published encoder
  settings.update({{"depths", {2, 1, 1, 1}}, {"heads", {1, 2, 2, 4}}});
  const auto network = find_network("swin_unet").make(settings);
  Weights file;
  for (const auto& [name, tensor] : drawn_below(weights_of(*network), ""))
    if (name.starts_with("patch_embed.") || name.starts_with("layers.") || name.starts_with("norm."))
      file[name] = tensor;
  file["layers.2.blocks.5.norm1.weight"] = torch::rand({4});  // Swin-tiny has six blocks there
  file["head.bias"] = torch::rand({1000});
  const StartReport report = start_from(*network, "swin_unet", file);
  const Weights own = weights_of(*network);
  EXPECT_EQ(report.encoder, "Swin-tiny");
  EXPECT_TRUE(torch::equal(own.at("layers.0.blocks.0.attn.qkv.weight"),
                           file.at("layers.0.blocks.0.attn.qkv.weight")));
  EXPECT_TRUE(torch::equal(own.at("layers_up.3.blocks.0.attn.relative_position_bias_table"),
                           file.at("layers.0.blocks.0.attn.relative_position_bias_table")));
  EXPECT_TRUE(is_in(report.unused, "layers.2.blocks.5.norm1.weight"));
}

/// The entries of R50+ViT-B_16.npz for a small TransUNet with positions for a grid of `edge`.
Weights vit_file(const Network& network, int64_t heads, int64_t edge) {
  torch::manual_seed(2);
  Weights file;
  const std::string model = "transformer.embeddings.hybrid_model.";
  for (const auto& [name, tensor] : weights_of(network)) {
    if (!tensor.is_floating_point()) continue;
    const torch::Tensor value = torch::rand_like(tensor);
    const std::string end = name.ends_with(".bias") ? "bias" : tensor.dim() > 1 ? "kernel" : "scale";
    const auto layer = [&](const std::string& part, const std::string& theirs) {
      const std::string before = "transformer.encoder.layer.";
      if (!name.starts_with(before) || name.find("." + part + ".") == std::string::npos) return;
      const std::string number = name.substr(before.size(), name.find('.', before.size()) - before.size());
      torch::Tensor there = value;
      if (part.starts_with("attn.") && end == "bias" && part != "attn.out") there = value.view({heads, -1});
      if (end == "kernel") {
        there = value.t().contiguous();
        if (part.starts_with("attn."))
          there = part == "attn.out" ? there.view({heads, -1, there.size(1)})
                                     : there.view({there.size(0), heads, -1});
      }
      file[concat("Transformer/encoderblock_", number, "/", theirs, "/", end)] = there;
    };
    for (const char* part : {"query", "key", "value", "out"})
      layer(concat("attn.", part), concat("MultiHeadDotProductAttention_1/", part));
    layer("ffn.fc1", "MlpBlock_3/Dense_0");
    layer("ffn.fc2", "MlpBlock_3/Dense_1");
    layer("attention_norm", "LayerNorm_0");
    layer("ffn_norm", "LayerNorm_2");
    const torch::Tensor there =
        tensor.dim() == 4 ? value.permute({2, 3, 1, 0}).contiguous() : value.view({1, 1, 1, -1});
    if (name.starts_with(model + "root.")) {
      file[concat(name.find(".gn.") == std::string::npos ? "conv_root/" : "gn_root/", end)] = there;
    } else if (name.starts_with(model + "body.")) {
      std::string path = name.substr(model.size() + 5, name.rfind('.') - model.size() - 5);
      std::replace(path.begin(), path.end(), '.', '/');
      if (const size_t at = path.find("downsample"); at != std::string::npos)
        path = path.substr(0, at) + "conv_proj";
      file[path + "/" + end] = there;
    } else if (name.starts_with("transformer.embeddings.patch_embeddings")) {
      file["embedding/" + end] = tensor.dim() == 4 ? there : value;
    } else if (name.starts_with("transformer.encoder.encoder_norm")) {
      file["Transformer/encoder_norm/" + end] = value;
    } else if (name.ends_with("position_embeddings")) {
      file["Transformer/posembed_input/pos_embedding"] = torch::rand({1, 1 + edge * edge, tensor.size(2)});
    }
  }
  file["head/kernel"] = torch::rand({8, 21843});
  return file;
}

TEST(Pretrained, AVisionTransformerOfJaxStartsTransUnet) {
  const auto network = small_network("trans_unet");
  const Weights before = weights_of(*network);
  Json settings = find_network("trans_unet").settings();
  settings.update(find_network("trans_unet").small);
  const auto heads = settings["heads"].get<int64_t>();
  const auto tokens = before.at("transformer.embeddings.position_embeddings").size(1);
  const auto edge = static_cast<int64_t>(std::lround(std::sqrt(double(tokens))));
  const Weights file = vit_file(*network, heads, edge);
  const StartReport report = start_from(*network, "trans_unet", file);
  const Weights own = weights_of(*network);
  EXPECT_EQ(report.encoder, "a vision transformer of JAX");
  EXPECT_EQ(report.unused, std::vector<std::string>{"head/kernel"});
  for (const std::string& name : report.untouched)
    EXPECT_TRUE(name.starts_with("decoder.") || name.starts_with("segmentation_head.")) << name;
  const std::string model = "transformer.embeddings.hybrid_model.", block = "transformer.encoder.layer.0.";
  EXPECT_TRUE(
      torch::equal(own.at(model + "root.conv.weight"), file.at("conv_root/kernel").permute({3, 2, 0, 1})));
  EXPECT_TRUE(torch::equal(own.at(model + "body.block1.unit1.downsample.weight").squeeze(),
                           file.at("block1/unit1/conv_proj/kernel").squeeze().t()));
  EXPECT_TRUE(torch::equal(own.at(model + "body.block1.unit1.gn_proj.weight"),
                           file.at("block1/unit1/gn_proj/scale").flatten()));
  // out = sum over the channels in of x times the kernel (in, head, channel)
  const torch::Tensor x = torch::rand({3, own.at(block + "attn.query.weight").size(1)}),
                      kernel =
                          file.at("Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel");
  EXPECT_TRUE(torch::allclose(torch::linear(x, own.at(block + "attn.query.weight")),
                              torch::tensordot(x, kernel, {1}, {0}).flatten(1)));
  const torch::Tensor z = torch::rand({3, heads, kernel.size(2)}),
                      back = file.at("Transformer/encoderblock_0/MultiHeadDotProductAttention_1/out/kernel");
  EXPECT_TRUE(torch::allclose(torch::linear(z.flatten(1), own.at(block + "attn.out.weight")),
                              torch::tensordot(z, back, {1, 2}, {0, 1})));
  EXPECT_TRUE(torch::equal(own.at("transformer.embeddings.position_embeddings"),
                           file.at("Transformer/posembed_input/pos_embedding").slice(1, 1)));
}

TEST(Pretrained, PositionsOfAnotherGridAreInterpolatedCornerOnCorner) {
  const auto network = small_network("trans_unet");
  const auto tokens = weights_of(*network).at("transformer.embeddings.position_embeddings").size(1);
  const auto edge = static_cast<int64_t>(std::lround(std::sqrt(double(tokens))));
  const Weights file = vit_file(*network, 1, edge + 3);
  start_from(
      *network, "trans_unet",
      {{"Transformer/posembed_input/pos_embedding", file.at("Transformer/posembed_input/pos_embedding")}});
  const torch::Tensor table = weights_of(*network).at("transformer.embeddings.position_embeddings")[0],
                      theirs = file.at("Transformer/posembed_input/pos_embedding")[0].slice(0, 1);
  EXPECT_TRUE(torch::allclose(table[0], theirs[0]));
  EXPECT_TRUE(torch::allclose(table[edge - 1], theirs[edge + 2]));
  EXPECT_TRUE(torch::allclose(table[tokens - 1], theirs[-1]));
}

TEST(Pretrained, AModelOfOtherClassesStartsAllButItsHead) {
  const NetworkEntry& entry = find_network("unet");
  Json settings = entry.small;
  settings["classes"] = 2;
  const auto learned = entry.make(settings);
  settings["classes"] = 5;
  const auto network = entry.make(settings);
  const StartReport report = start_from(*network, "unet", weights_of(*learned));
  EXPECT_EQ(report.untouched, (std::vector<std::string>{"outc.conv.bias", "outc.conv.weight"}));
  EXPECT_EQ(report.misshaped, report.unused);
  EXPECT_TRUE(torch::equal(network->parameters()[0], learned->parameters()[0]));
  EXPECT_THAT(report.text(), testing::HasSubstr("2 stay as they were drawn"));
}

TEST(Pretrained, AFileOfWhichNothingFitsIsRefused) {
  const auto network = small_network("unet");
  try {
    start_from(*network, "unet", {{"layers.0.blocks.0.norm1.weight", torch::rand({96})}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("nothing of it fits the network unet"));
  }
}

}  // namespace
}  // namespace mambaseg

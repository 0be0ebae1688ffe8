// Vision transformers of JAX, trained on ImageNet-21k (Dosovitskiy et al. 2021; github.com/google-research/
// vision_transformer: R50+ViT-B_16.npz, ViT-B_16.npz), from which TransUNet starts. Kernels of convolutions
// are (y, x, in, out) there, those of linear layers (in, out), split by heads in the attention.

#include <cmath>
#include <map>

#include "mambaseg/core/error.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/pretrained/pretrained.h"

namespace mambaseg {
namespace {

/// "a/b/c" as its words.
std::vector<std::string> words_of(const std::string& entry) {
  std::vector<std::string> words;
  size_t begin = 0;
  for (size_t end = entry.find('/'); end != std::string::npos; end = entry.find('/', begin)) {
    words.push_back(entry.substr(begin, end - begin));
    begin = end + 1;
  }
  words.push_back(entry.substr(begin));
  return words;
}

std::string last_name(const std::string& word) { return word == "bias" ? ".bias" : ".weight"; }

torch::Tensor convolution_kernel(const torch::Tensor& value, bool weight) {
  return weight && value.dim() == 4 ? value.permute({3, 2, 0, 1}) : value.flatten();
}

/// Rows of the network's sizes. The kernel of a projection to heads is (in, head, channel), that of the
/// projection back (head, channel, out).
torch::Tensor linear_kernel(const torch::Tensor& value, bool weight, bool back) {
  if (!weight || value.dim() < 2) return value.flatten();
  if (value.dim() == 2) return value.t();
  return (back ? value.flatten(0, 1) : value.flatten(1)).t();
}

/// The table of positions without its first entry, that of the class, brought to the network's grid as
/// scipy.ndimage.zoom of order 1 does: linearly, corners on corners.
torch::Tensor positions(const torch::Tensor& table_1LC, int64_t tokens) {
  const torch::Tensor grid_1LC = table_1LC.narrow(1, 1, table_1LC.size(1) - 1);
  if (grid_1LC.size(1) == tokens) return grid_1LC;
  const auto edge = static_cast<int64_t>(std::lround(std::sqrt(double(grid_1LC.size(1))))),
             wanted = static_cast<int64_t>(std::lround(std::sqrt(double(tokens))));
  if (edge * edge != grid_1LC.size(1) || wanted * wanted != tokens) return grid_1LC;
  const torch::Tensor map = grid_1LC.transpose(1, 2).reshape({1, -1, edge, edge});
  return linear_resized(map, {wanted, wanted}, /*align_corners=*/true).flatten(2).transpose(1, 2);
}

/// Where an entry below Transformer/encoderblock_I goes; "" for others.
std::string layer_name(const std::vector<std::string>& words, bool& back) {
  static const std::map<std::string, std::string> parts{{"LayerNorm_0", "attention_norm"},
                                                        {"LayerNorm_2", "ffn_norm"},
                                                        {"Dense_0", "ffn.fc1"},
                                                        {"Dense_1", "ffn.fc2"},
                                                        {"query", "attn.query"},
                                                        {"key", "attn.key"},
                                                        {"value", "attn.value"},
                                                        {"out", "attn.out"}};
  const std::string block = "encoderblock_";
  const auto part = parts.find(words[words.size() - 2]);
  if (words.size() < 4 || !words[1].starts_with(block) || part == parts.end()) return "";
  back = part->first == "out";
  return concat("transformer.encoder.layer.", words[1].substr(block.size()), ".", part->second,
                last_name(words.back()));
}

/// Where an entry of the residual convolutions before the transformer goes; "" for others.
std::string convolution_name(const std::vector<std::string>& words) {
  const std::string model = "transformer.embeddings.hybrid_model.", end = last_name(words.back());
  if (words.size() == 2 && words[0] == "conv_root") return model + "root.conv" + end;
  if (words.size() == 2 && words[0] == "gn_root") return model + "root.gn" + end;
  if (words.size() != 4 || !words[0].starts_with("block")) return "";
  const std::string part = words[2] == "conv_proj" ? "downsample" : words[2];
  return concat(model, "body.", words[0], ".", words[1], ".", part, end);
}

std::vector<PlacedWeight> placed(const std::string& network, const Weights& published, const Weights& own) {
  std::vector<PlacedWeight> out;
  if (network != "trans_unet") return out;
  const std::string embeddings = "transformer.embeddings.", table = embeddings + "position_embeddings";
  for (const auto& [entry, value] : published) {
    const std::vector<std::string> words = words_of(entry);
    if (words.size() < 2) continue;
    const bool kernel = words.back() == "kernel";
    bool back = false;
    if (words[0] == "embedding") {
      out.push_back(
          {entry, embeddings + "patch_embeddings" + last_name(words[1]), convolution_kernel(value, kernel)});
    } else if (words.back() == "pos_embedding" && value.dim() == 3 && value.size(1) > 1) {
      out.push_back({entry, table, positions(value, own.count(table) > 0 ? own.at(table).size(1) : 0)});
    } else if (words[0] == "Transformer" && words[1] == "encoder_norm" && words.size() == 3) {
      out.push_back({entry, "transformer.encoder.encoder_norm" + last_name(words[2]), value});
    } else if (const std::string layer = layer_name(words, back); !layer.empty()) {
      out.push_back({entry, layer, linear_kernel(value, kernel, back)});
    } else if (const std::string name = convolution_name(words); !name.empty()) {
      out.push_back({entry, name, convolution_kernel(value, kernel)});
    }
  }
  return out;
}

}  // namespace

PretrainedEncoder vision_transformer_encoder() {
  return {"a vision transformer of JAX", "R50+ViT-B_16.npz", placed};
}

}  // namespace mambaseg

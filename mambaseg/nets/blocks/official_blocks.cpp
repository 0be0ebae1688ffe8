#include "mambaseg/nets/blocks/official_blocks.h"

/// Blocks with counterparts: official_NAME() stands in the file of the block.
#define MAMBASEG_OFFICIAL_BLOCKS(BLOCK) \
  BLOCK(conv3d_blocks)                  \
  BLOCK(local_global_scan)              \
  BLOCK(medsegmamba_mixers)             \
  BLOCK(tri_orientated_mamba)           \
  BLOCK(mamba)                          \
  BLOCK(nnunet_blocks)                  \
  BLOCK(umamba_layer)                   \
  BLOCK(ss2d)                           \
  BLOCK(patch2d)                        \
  BLOCK(bidirectional_mamba)            \
  BLOCK(pvm_layer)                      \
  BLOCK(segmamba_blocks)                \
  BLOCK(soft_moe)                       \
  BLOCK(unet2d)                         \
  BLOCK(unetr_blocks)                   \
  BLOCK(vss_encoder)                    \
  BLOCK(vision_lstm)                    \
  BLOCK(x2net)

namespace mambaseg {

#define MAMBASEG_DECLARE(NAME) std::vector<OfficialBlock> official_##NAME();
MAMBASEG_OFFICIAL_BLOCKS(MAMBASEG_DECLARE)
#undef MAMBASEG_DECLARE

std::vector<OfficialBlock> official_blocks() {
  std::vector<OfficialBlock> all;
#define MAMBASEG_ADD(NAME) \
  for (OfficialBlock & block : official_##NAME()) all.push_back(std::move(block));
  MAMBASEG_OFFICIAL_BLOCKS(MAMBASEG_ADD)
#undef MAMBASEG_ADD
  for (const NetworkEntry& entry : networks())
    all.insert(all.end(), entry.blocks.begin(), entry.blocks.end());
  return all;
}

}  // namespace mambaseg

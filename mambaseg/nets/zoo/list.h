#pragma once

/// Every network, one line each: NAME is the function NAME_entry() of zoo/<family>/NAME.cpp.
#define MAMBASEG_NETWORKS(NETWORK) \
  NETWORK(medsegmamba)             \
  NETWORK(segmambabot)             \
  NETWORK(segmamba)                \
  NETWORK(lightm_unet)             \
  NETWORK(lbmnet)                  \
  NETWORK(lbmnet_b)                \
  NETWORK(umamba_bot)              \
  NETWORK(umamba_enc)              \
  NETWORK(plain_unet)              \
  NETWORK(resenc_unet)             \
  NETWORK(hym_unet)                \
  NETWORK(vm_unet)                 \
  NETWORK(vm_unet_v2)              \
  NETWORK(mamba_unet)              \
  NETWORK(swin_umamba)             \
  NETWORK(swin_umamba_d)           \
  NETWORK(ultralight_vm_unet)      \
  NETWORK(h_vmunet)                \
  NETWORK(unet)                    \
  NETWORK(unet_se)                 \
  NETWORK(unet_cbam)               \
  NETWORK(unet_mamba)              \
  NETWORK(attention_unet)          \
  NETWORK(r2_attention_unet)       \
  NETWORK(ce_net)                  \
  NETWORK(unet_pp)                 \
  NETWORK(basic_unet_pp)           \
  NETWORK(stu_net)                 \
  NETWORK(fastsurfer_cnn)          \
  NETWORK(fastsurfer_vinn)         \
  NETWORK(unetr)                   \
  NETWORK(swin_unet)               \
  NETWORK(swin_unetr)              \
  NETWORK(trans_unet)              \
  NETWORK(tabsurfer)               \
  NETWORK(frp_net)                 \
  NETWORK(s_net)                   \
  NETWORK(asp_vmunet)              \
  NETWORK(mambau_lite)             \
  NETWORK(ac_mambaseg)             \
  NETWORK(sk_vmpp)                 \
  NETWORK(scfmunet)                \
  NETWORK(inceptionmamba)          \
  NETWORK(mobilevim)

#pragma once

/// Every pretrained encoder, one line each: NAME is the function NAME_encoder() of NAME.cpp.
#define MAMBASEG_PRETRAINED(ENCODER) \
  ENCODER(vmamba)                    \
  ENCODER(swin)                      \
  ENCODER(vision_transformer)

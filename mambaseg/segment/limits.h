#pragma once

#include <string>
#include <vector>

#include "mambaseg/io/image.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/models/model_card.h"
#include "mambaseg/segment/findings.h"

namespace mambaseg {

// What ModelLimits say of images. Functions throw Error for what is refused and return what is flagged.

/// Before the network runs: all zero, CT, thick slices.
std::vector<std::string> check_image(const Image& image, const ModelLimits& limits);

/// Throws Error when labels of the first stage fill too little for a head.
void check_found(const Volume<int32_t>& first_labels, const ModelLimits& limits);

/// After it: structures that touch the border, volumes, contrast.
std::vector<std::string> check_labels(const Image& image, const Volume<int32_t>& labels,
                                      const std::vector<StructureFinding>& structures,
                                      const ModelLimits& limits);

/// Grey and other pictures than of skin.
std::vector<std::string> check_picture(const Picture& picture, const ModelLimits& limits);

}  // namespace mambaseg

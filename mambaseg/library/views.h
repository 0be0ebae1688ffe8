#pragma once

#include "mambaseg/io/picture.h"
#include "mambaseg/mambaseg.h"
#include "mambaseg/session/segmenter.h"

namespace mambaseg {

// Images of callers and ours. All throw UsageError for a null pointer, a size, a type, a stride or an affine
// that makes no sense; `who` begins the line.

Image volume_of(const mambaseg_image* view, const char* who);
Picture picture_of(const mambaseg_image* view, const char* who);
/// As whole numbers; Error for values that are none.
Volume<int32_t> labels_of(const mambaseg_image* view, const char* who);

/// Looks at what lives elsewhere.
mambaseg_image view_of(const Image& image);
mambaseg_image view_of(const Picture& picture);
mambaseg_image view_of(const Volume<int32_t>& labels);

}  // namespace mambaseg

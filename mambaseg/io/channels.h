#pragma once

#include <string>
#include <vector>

#include "mambaseg/io/image.h"

namespace mambaseg {

/// The channels that one file holds: the volumes of a 4-D NIfTI file, as the Medical Segmentation Decathlon
/// stores them, or what read_image reads. Throws Error as read_image does.
std::vector<Image> read_channels(const std::string& path, const Warn& warn = {});

/// The same as float, refused as read_volume refuses.
std::vector<Volume<float>> read_channel_volumes(const std::string& path, const Warn& warn = {});

/// How many channels a file holds, by its header.
int64_t count_channels(const std::string& path);

}  // namespace mambaseg

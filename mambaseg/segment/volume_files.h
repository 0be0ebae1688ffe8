#pragma once

#include <string>
#include <vector>

#include "mambaseg/data/label_settings.h"
#include "mambaseg/io/image.h"

namespace mambaseg {

/// "10 Left-Thalamus", a line for each structure: the comment of label files.
std::string names_of_numbers(const std::vector<LabelClass>& classes);

/// The numbers that label files have, ascending.
std::vector<int32_t> numbers_of(const std::vector<LabelClass>& classes);

/// Writes three planes of the image, without and with its labels, as a PNG file.
void draw_labels(const std::string& path, const Image& image, const Volume<int32_t>& labels,
                 const std::vector<LabelClass>& classes);

}  // namespace mambaseg

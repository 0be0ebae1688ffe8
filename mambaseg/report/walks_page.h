#pragma once

#include <string>
#include <vector>

#include "mambaseg/scan/orders.h"

namespace mambaseg {

/// One walk over a small grid as an SVG picture: every token as a cell that bears its step (from 0) and is
/// the darker the later it is visited, the slices of a volume beside each other, and a line from each token
/// to the next where both lie in one slice.
std::string walk_picture(const ScanOrder& order, TokenGrid grid);

/// A page with the walks of these families: planar ones on `plane` (its first extent is 1), the others on
/// `volume`.
std::string walks_page(const std::vector<const ScanOrderFamily*>& families, TokenGrid plane,
                       TokenGrid volume);

}  // namespace mambaseg

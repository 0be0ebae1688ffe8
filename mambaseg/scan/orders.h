#pragma once

#include <span>
#include <string>
#include <vector>

#include "mambaseg/scan/order.h"

namespace mambaseg {

/// Tokens of a grid. Error when an axis is not positive or the tokens do not fit in int32.
int64_t token_count(TokenGrid grid);

/// Step t visits token t: (length).
ScanOrder raster_order(int64_t length);

/// The same walk from its end.
ScanOrder reversed(const ScanOrder& order);

/// The inverse permutation: inverse[order[t]] = t.
ScanOrder inverse(const ScanOrder& order);

/// The curve that the 48 orders of MedSegMamba turn and mirror.
enum class BaseCurve {
  snake,  ///< its "scan": neighbours in the walk are neighbours in the grid
  sweep,  ///< its "sweep": raster
};

/// "snake" or "sweep", MedSegMamba's "scan" meaning snake; UsageError for another name.
BaseCurve base_curve(const std::string& scan_type);

/// The eight walks of SS3D_v5 (MedSegMamba) of orientation mod 6; walk k + 4 is walk k backwards. The six
/// orientations together hold all 48 signed axis orders. On grids that are not cubes every axis keeps its own
/// extent.
std::vector<ScanOrder> snake_orders(TokenGrid grid, int orientation, BaseCurve curve = BaseCurve::snake);

/// The eight walks of the vanilla SS3D (MedSegMamba): raster over the axis orders HWD, WHD, DWH, HDW, then
/// each of the four backwards.
std::vector<ScanOrder> axis_raster_orders(TokenGrid grid);

/// The six walks of SS3D_v6 (MedSegMamba) of orientation mod 8: three raster walks over a turned grid, then
/// each of the three backwards.
std::vector<ScanOrder> rotated_raster_orders(TokenGrid grid, int orientation);

/// The six walks of SSND (nnUZoo) in three dimensions: raster over the axis orders ZHW, WZH, HWZ, then each
/// of the three backwards.
std::vector<ScanOrder> cyclic_raster_orders(TokenGrid grid);

/// The four walks of SS2D (VMamba): rows, columns, rows backwards, columns backwards. grid[0] must be 1.
std::vector<ScanOrder> cross_orders(TokenGrid grid);

/// The four walks that HyM-UNet's text lists: rows, rows of the left-right mirrored plane, both backwards.
/// grid[0] must be 1.
std::vector<ScanOrder> mirrored_row_orders(TokenGrid grid);

/// RS-Mamba's walks along diagonals: down to the left, down to the right, both backwards. grid[0] must be 1.
std::vector<ScanOrder> diagonal_orders(TokenGrid grid);

/// RS-Mamba's eight walks: those of cross_orders, then those of diagonal_orders.
std::vector<ScanOrder> omnidirectional_orders(TokenGrid grid);

/// UM-Mamba's spirals: inwards from the first token along its row, along its column, both backwards. grid[0]
/// must be 1.
std::vector<ScanOrder> spiral_orders(TokenGrid grid);

/// LocalMamba's walks: windows of `edge` tokens one after the other, rows, columns, both backwards.
std::vector<ScanOrder> window_orders(TokenGrid grid, int64_t edge);

/// Hilbert's curve, the one with rows and columns swapped, both backwards. Its steps reach neighbours where
/// all extents but those of 1 are one power of two; on other grids it is that of the cube around them,
/// without what lies outside.
std::vector<ScanOrder> hilbert_orders(TokenGrid grid);

/// Morton's curve, the one with rows and columns swapped, both backwards; other grids as with Hilbert's.
std::vector<ScanOrder> z_orders(TokenGrid grid);

/// ASP-VMUNet's atrous walk: every step-th token along each axis (of a plane: of its two), from the first on,
/// then those behind them and so on. Where `step` divides the extents, its parts are of one length.
ScanOrder atrous_order(TokenGrid grid, int64_t step);

/// SegMamba's third direction: step t visits (t mod slices) * (length / slices) + t / slices. Error unless
/// `slices` divides `length`.
ScanOrder inter_slice_order(int64_t length, int64_t slices);

/// SegMamba's three walks: raster, raster backwards, inter-slice.
std::vector<ScanOrder> tri_orientated_orders(int64_t length, int64_t slices);

/// A family of walks, as networks choose it by name, tests and documentation see it.
struct ScanOrderFamily {
  std::string name;
  std::string source;
  int orientations;  ///< valid values of `orientation`: 0 .. orientations - 1
  bool planar;       ///< wants grid[0] = 1
  std::vector<ScanOrder> (*make)(TokenGrid grid, int orientation);
};

/// Every family (orders.cpp).
std::span<const ScanOrderFamily> scan_order_families();

/// A family in one of its orientations.
struct NamedOrders {
  const ScanOrderFamily* family;
  int orientation;
  std::vector<ScanOrder> over(TokenGrid grid) const { return family->make(grid, orientation); }
  /// How many walks there are; the same on every grid.
  int64_t walks() const { return static_cast<int64_t>(over({1, 1, 1}).size()); }
  /// As named_orders reads it.
  std::string name() const { return family->name + ":" + std::to_string(orientation); }
};

/// "FAMILY" or "FAMILY:ORIENTATION": "cross", "snake:3"; without an orientation the first. UsageError, which
/// names the families or the orientations that there are, for another name.
NamedOrders named_orders(const std::string& name);

}  // namespace mambaseg

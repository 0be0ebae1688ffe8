#include "mambaseg/report/walks_page.h"

#include "mambaseg/core/error.h"
#include "mambaseg/report/html.h"

namespace mambaseg {
namespace {

constexpr int64_t kCell = 30, kGap = 10;

struct Cell {
  int64_t slice, x, y;  ///< x, y: pixels of its left upper corner
};

Cell cell_of(int64_t token, TokenGrid grid) {
  const int64_t column = token % grid[2], row = token / grid[2] % grid[1],
                slice = token / (grid[1] * grid[2]);
  return {slice, slice * (grid[2] * kCell + kGap) + column * kCell, row * kCell};
}

}  // namespace

std::string walk_picture(const ScanOrder& order, TokenGrid grid) {
  require(static_cast<int64_t>(order.size()) == token_count(grid), "walk: expected ", token_count(grid),
          " tokens, got ", order.size());
  const int64_t width = grid[0] * (grid[2] * kCell + kGap) - kGap, height = grid[1] * kCell;
  std::string cells, line;
  for (size_t step = 0; step < order.size(); ++step) {
    const Cell at = cell_of(order[step], grid);
    const double share =
        static_cast<double>(step) / static_cast<double>(std::max<size_t>(1, order.size() - 1));
    cells += concat("<rect x=\"", at.x, "\" y=\"", at.y, "\" width=\"", kCell, "\" height=\"", kCell,
                    "\" fill=\"var(--blue)\" stroke=\"var(--line)\" fill-opacity=\"", 0.05 + 0.4 * share,
                    "\"/><text x=\"", at.x + 4, "\" y=\"", at.y + 10, "\">", step, "</text>");
    const bool goes_on = step > 0 && cell_of(order[step - 1], grid).slice == at.slice;
    line += concat(goes_on ? "L" : "M", at.x + kCell / 2, " ", at.y + kCell / 2);
  }
  return concat("<svg width=\"", width, "\" height=\"", height, "\" viewBox=\"0 0 ", width, " ", height,
                "\" font-size=\"9\" fill=\"var(--ink)\" role=\"img\"><title>order of visits</title>", cells,
                "<path d=\"", line, "\" fill=\"none\" stroke=\"var(--red)\" stroke-width=\"1.4\"/></svg>");
}

std::string walks_page(const std::vector<const ScanOrderFamily*>& families, TokenGrid plane,
                       TokenGrid volume) {
  std::string body =
      "<p>Each cell is a token and bears the step at which the scan visits it; slices of a volume stand "
      "beside "
      "each other; the line joins tokens visited one after the other.</p>";
  for (const ScanOrderFamily* family : families) {
    std::string pictures;
    for (int orientation = 0; orientation < family->orientations; ++orientation) {
      const TokenGrid grid = family->planar ? plane : volume;
      if (family->orientations > 1) pictures += concat("<h3>orientation ", orientation, "</h3>");
      pictures += "<div style=\"display:flex;flex-wrap:wrap;gap:1.2rem\">";
      int64_t number = 0;
      for (const ScanOrder& order : family->make(grid, orientation))
        pictures += concat("<figure style=\"margin:0\">", walk_picture(order, grid), "<figcaption>walk ",
                           number++, "</figcaption></figure>");
      pictures += "</div>";
    }
    body += html_section(family->name, html_text(family->source), pictures);
  }
  return html_page("Scan orders", body);
}

}  // namespace mambaseg

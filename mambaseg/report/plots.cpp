#include "mambaseg/report/plots.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/report/files.h"
#include "mambaseg/report/html.h"
#include "mambaseg/stats/describe.h"

namespace mambaseg {
namespace {

std::string line(const char* kind, double x1, double y1, double x2, double y2) {
  return concat("<line class=\"", kind, "\" x1=\"", short_number(x1, 5), "\" y1=\"", short_number(y1, 5),
                "\" x2=\"", short_number(x2, 5), "\" y2=\"", short_number(y2, 5), "\"/>");
}

/// The strip of one line, 100 units wide whatever its width on the page.
std::string strip(const BoxLine& box, double high, const std::vector<double>& ticks) {
  std::string svg = "<svg viewBox=\"0 0 100 22\" preserveAspectRatio=\"none\" aria-hidden=\"true\">";
  for (const double tick : ticks) svg += line("grid", 100 * tick / high, 0, 100 * tick / high, 22);
  if (!box.values.empty()) {
    const Description d = describe(box.values);
    const double reach = 1.5 * (d.q3 - d.q1);
    double low_end = d.q1, high_end = d.q3;
    for (const double v : box.values) {
      if (v >= d.q1 - reach) low_end = std::min(low_end, v);
      if (v <= d.q3 + reach) high_end = std::max(high_end, v);
    }
    const auto x = [&](double v) { return 100 * v / high; };
    svg += line("whisker", x(low_end), 11, x(d.q1), 11) + line("whisker", x(d.q3), 11, x(high_end), 11);
    svg += concat("<rect class=\"box\" x=\"", short_number(x(d.q1), 5), "\" y=\"4\" height=\"14\" width=\"",
                  short_number(x(d.q3) - x(d.q1), 5), "\"/>");
    for (const double v : box.values) {
      const bool outlier = v < low_end || v > high_end;
      svg += outlier ? line("outlier", x(v), 6, x(v), 16) : line("dot", x(v), 9, x(v), 13);
    }
    svg += line("median", x(d.median), 4, x(d.median), 18);
  }
  return svg + "</svg>";
}

}  // namespace

std::vector<double> axis_ticks(double low, double high, int count) {
  const double rough = (high - low) / std::max(1, count);
  if (!(rough > 0)) return {low};
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough * 0.999) {
      step = factor * power;
      break;
    }
  std::vector<double> ticks;
  for (double k = std::ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; ++k)
    ticks.push_back(k * step + 0.0);  // no negative zero
  return ticks;
}

std::string box_plots(const std::vector<BoxLine>& lines, bool unit_range, const std::string& unit) {
  double high = unit_range ? 1 : 0;
  for (const BoxLine& box : lines)
    for (const double v : box.values) high = std::max(high, v);
  if (!(high > 0)) high = 1;
  std::vector<double> ticks = axis_ticks(0, high, 4);
  if (ticks.back() < high * (1 - 1e-9)) {  // the axis ends on a round number
    high = ticks.size() > 1 ? ticks.back() + ticks[1] : high;
    ticks = axis_ticks(0, high, int(ticks.size()));
  }
  std::string html = "<div class=\"boxes\">\n";
  for (const BoxLine& box : lines) {
    const bool none = box.values.empty();
    html += concat("<span title=\"", html_text(box.name), "\">", html_text(box.name), "</span><div class=\"m",
                   box.tone, "\">", strip(box, high, ticks), "</div><span class=\"value\">",
                   none ? "–" : short_number(describe(box.values).median, 3), "</span>\n");
  }
  html += "<span></span><div class=\"axis\">";
  for (const double tick : ticks) html += "<span>" + short_number(tick, 4) + "</span>";
  return html + "</div><span class=\"value soft\">" + (unit.empty() ? "median" : "median, " + unit) +
         "</span></div>\n";
}

std::string bland_altman_plot(const std::string& title, const std::vector<double>& a,
                              const std::vector<double>& b, const BlandAltman& result,
                              const std::string& unit) {
  constexpr double kLeft = 46, kRight = 312, kTop = 8, kBottom = 186;
  double x_low = HUGE_VAL, x_high = -HUGE_VAL, y_low = std::min(0.0, result.limits[0]),
         y_high = std::max(0.0, result.limits[1]);
  for (size_t i = 0; i < a.size(); ++i) {
    x_low = std::min(x_low, 0.5 * (a[i] + b[i]));
    x_high = std::max(x_high, 0.5 * (a[i] + b[i]));
    y_low = std::min(y_low, a[i] - b[i]);
    y_high = std::max(y_high, a[i] - b[i]);
  }
  const auto widen = [](double& low, double& high) {
    const double margin = high > low ? 0.06 * (high - low) : std::max(1.0, 0.1 * std::abs(high));
    low -= margin;
    high += margin;
  };
  widen(x_low, x_high);
  widen(y_low, y_high);
  const auto x = [&](double v) { return kLeft + (kRight - kLeft) * (v - x_low) / (x_high - x_low); };
  const auto y = [&](double v) { return kBottom - (kBottom - kTop) * (v - y_low) / (y_high - y_low); };
  std::string svg = "<svg viewBox=\"0 0 320 222\" role=\"img\" aria-label=\"Bland-Altman plot of " +
                    html_text(title) + "\">";
  const auto label = [&](double px, double py, const char* anchor, const std::string& text) {
    svg += concat("<text x=\"", short_number(px, 5), "\" y=\"", short_number(py, 5), "\" text-anchor=\"",
                  anchor, "\">", html_text(text), "</text>");
  };
  for (const double tick : axis_ticks(x_low, x_high, 4)) {
    svg += line("grid", x(tick), kTop, x(tick), kBottom);
    label(x(tick), kBottom + 14, "middle", short_number(tick, 4));
  }
  for (const double tick : axis_ticks(y_low, y_high, 4)) {
    svg += line("grid", kLeft, y(tick), kRight, y(tick));
    label(kLeft - 5, y(tick) + 4, "end", short_number(tick, 4));
  }
  svg +=
      line("zero", kLeft, y(0), kRight, y(0)) + line("bias", kLeft, y(result.bias), kRight, y(result.bias));
  for (const double limit : result.limits) svg += line("limit", kLeft, y(limit), kRight, y(limit));
  for (size_t i = 0; i < a.size(); ++i)
    svg += concat("<circle class=\"point\" r=\"3\" cx=\"", short_number(x(0.5 * (a[i] + b[i])), 5),
                  "\" cy=\"", short_number(y(a[i] - b[i]), 5), "\"/>");
  label(0.5 * (kLeft + kRight), kBottom + 30, "middle", "mean of both, " + unit);
  return concat("<figure class=\"plot\"><h3>", html_text(title), "</h3>", svg, "</svg><figcaption>Bias ",
                short_number(result.bias, 3), " ", unit, " (95 % interval ",
                short_number(result.bias_ci95[0], 3), " to ", short_number(result.bias_ci95[1], 3),
                "), limits of agreement ", short_number(result.limits[0], 3), " to ",
                short_number(result.limits[1], 3), ", correlation ", short_number(result.correlation, 3),
                ", n = ", result.n, "</figcaption></figure>\n");
}

}  // namespace mambaseg

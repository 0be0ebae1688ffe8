#include "mambaseg/train/curves.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>

#include "mambaseg/report/plots.h"

namespace mambaseg {
namespace {

constexpr double kWidth = 640, kHeight = 300, kLeft = 56, kRight = 16, kTop = 30, kBottom = 34, kGap = 40;

struct Series {
  std::string name, colour;
  std::vector<std::array<double, 2>> points;  ///< epoch from 1, value
};

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::string text_at(double x, double y, const char* anchor, const std::string& words,
                    const std::string& colour = "#444") {
  return concat("<text x=\"", number(x), "\" y=\"", number(y), "\" text-anchor=\"", anchor, "\" fill=\"",
                colour, "\">", words, "</text>\n");
}

/// One plot with its axes, its upper left corner at (0, top).
std::string plot(const std::string& title, const std::vector<Series>& all, double epochs, double top) {
  double low = 1e300, high = -1e300;
  for (const Series& series : all)
    for (const auto& [epoch, value] : series.points) low = std::min(low, value), high = std::max(high, value);
  if (low > high) return "";
  if (high - low < 1e-9) high = low + 1;
  const auto x = [&](double epoch) {
    return kLeft + (kWidth - kLeft - kRight) * (epochs > 1 ? (epoch - 1) / (epochs - 1) : 0.5);
  };
  const auto y = [&](double value) {
    return top + kTop + (kHeight - kTop - kBottom) * (high - value) / (high - low);
  };
  std::string svg = text_at(kLeft, top + 18, "start", title, "#000");
  for (const double tick : axis_ticks(low, high, 5)) {
    svg += concat("<line x1=\"", number(kLeft), "\" x2=\"", number(kWidth - kRight), "\" y1=\"",
                  number(y(tick)), "\" y2=\"", number(y(tick)), "\" stroke=\"#ddd\"/>\n");
    svg += text_at(kLeft - 6, y(tick) + 4, "end", number(tick));
  }
  for (const double tick : axis_ticks(1, std::max(2.0, epochs), 6))
    if (tick >= 1 && tick <= epochs)
      svg += text_at(x(tick), top + kHeight - kBottom + 16, "middle", number(tick));
  double legend = kWidth - kRight;
  for (const Series& series : all) {
    if (series.points.empty()) continue;
    std::string points;
    for (const auto& [epoch, value] : series.points)
      points += number(x(epoch)) + "," + number(y(value)) + " ";
    svg += concat("<polyline fill=\"none\" stroke-width=\"1.6\" stroke=\"", series.colour, "\" points=\"",
                  points, "\"/>\n");
    svg += text_at(legend, top + 18, "end", series.name, series.colour);
    legend -= 12 + 7 * static_cast<double>(series.name.size());
  }
  return svg;
}

}  // namespace

std::vector<Json> read_epoch_lines(const std::string& journal_path) {
  std::ifstream in(journal_path);
  require(in.good(), journal_path, ": cannot be opened for reading");
  std::vector<Json> lines;
  for (std::string text; std::getline(in, text);) {
    const Json line = Json::parse(text, nullptr, false);
    if (line.is_object() && line.value("event", "") == "epoch") lines.push_back(line);
  }
  return lines;
}

std::string training_curves(const std::vector<Json>& epoch_lines) {
  Series loss{"training", "#1f5fa8", {}}, dice{"validation", "#b5541c", {}},
      average{"moving average", "#2c7a3f", {}};
  double epochs = 1;
  for (const Json& line : epoch_lines) {
    const double epoch = line["epoch"].get<double>() + 1;
    epochs = std::max(epochs, epoch);
    loss.points.push_back({epoch, line["loss"].get<double>()});
    if (!line.contains("validation")) continue;
    const Json& validation = line["validation"];
    dice.points.push_back({epoch, validation["dice"].get<double>()});
    if (validation.contains("average_dice"))
      average.points.push_back({epoch, validation["average_dice"].get<double>()});
  }
  const bool validated = !dice.points.empty();
  std::vector<Series> validation{dice};
  if (average.points != dice.points) validation.push_back(average);
  const double height = validated ? 2 * kHeight + kGap : kHeight;
  return concat("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", kWidth, " ", height,
                "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"", kWidth, "\" height=\"",
                height, "\" fill=\"#fff\"/>\n", plot("Loss over epochs", {loss}, epochs, 0),
                validated ? plot("Dice over epochs", validation, epochs, kHeight + kGap) : "", "</svg>\n");
}

}  // namespace mambaseg

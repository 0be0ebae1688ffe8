#include "mambaseg/report/html.h"

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"

namespace mambaseg {
namespace {

constexpr size_t kMostColumns = 9;  // of a table: as many fit on paper

constexpr const char* kStyle = R"css(
:root { color-scheme: light dark; --page: #fbfbfa; --card: #ffffff; --ink: #1d2125; --soft: #5d666f; --line: #dfe2e5;
  --blue: #2563c9; --fill: #2563c933; --red: #c2331f; --teal: #0d8578; --purple: #7a4fc0; --orange: #b35c00; }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --card: #1c2024; --ink: #e8eaed; --soft: #9aa4ae;
  --line: #33393f; --blue: #74a7ff; --fill: #74a7ff3d; --red: #ff8a75; --teal: #4fd1c0; --purple: #bd9bff;
  --orange: #ffb057; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 68rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 0 0 .4rem; }
h3 { font-size: 1rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
p { margin: .2rem 0 .7rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem; margin: 1rem 0; }
.soft, figcaption, .axis { color: var(--soft); font-size: .875rem; }
code { font: .85em/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem; margin: 1rem 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.45rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.warn { border-left: 4px solid var(--orange); padding-left: .7rem; }
.scroll { overflow-x: auto; } .scroll + .scroll { margin-top: .8rem; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .55rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--card); }
td .soft { font-size: inherit; }
td.bad, .bad { color: var(--red); }
.boxes { display: grid; grid-template-columns: minmax(5rem, 12rem) 1fr minmax(3.6rem, auto); gap: .15rem .7rem;
  align-items: center; font-size: .875rem; }
.boxes > span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.boxes > span.value { text-align: right; font-variant-numeric: tabular-nums; }
.boxes svg { width: 100%; height: 22px; display: block; }
.axis { display: flex; justify-content: space-between; font-variant-numeric: tabular-nums; }
.box { fill: var(--fill); stroke: var(--blue); } .median { stroke: var(--blue); stroke-width: 2.5; }
.whisker { stroke: var(--blue); } .dot { stroke: var(--soft); } .outlier { stroke: var(--red); stroke-width: 2; }
.grid { stroke: var(--line); } .boxes svg *, .plot svg * { vector-effect: non-scaling-stroke; }
.m1 .box { stroke: var(--teal); fill: color-mix(in srgb, var(--teal) 22%, transparent); }
.m1 .median, .m1 .whisker { stroke: var(--teal); }
.m2 .box { stroke: var(--purple); fill: color-mix(in srgb, var(--purple) 22%, transparent); }
.m2 .median, .m2 .whisker { stroke: var(--purple); }
.m3 .box { stroke: var(--orange); fill: color-mix(in srgb, var(--orange) 22%, transparent); }
.m3 .median, .m3 .whisker { stroke: var(--orange); }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; break-inside: avoid; } figure svg { width: 100%; height: auto; display: block; }
.plot text { fill: var(--soft); font: 11px system-ui, sans-serif; }
.plot .point { fill: var(--blue); fill-opacity: .65; } .bias { stroke: var(--red); }
.limit { stroke: var(--red); stroke-dasharray: 5 4; } .zero { stroke: var(--soft); stroke-dasharray: 2 3; }
figure img { width: 100%; max-width: 58rem; height: auto; border-radius: 6px; display: block; background: #000; }
.cases { display: grid; gap: 1.2rem; }
details > summary { cursor: pointer; font-weight: 600; }
@media print { :root { color-scheme: light; --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb;
  --blue: #1a4fa3; --fill: #1a4fa333; --red: #a32a1a; --teal: #0a6b60; --purple: #5c3a96; --orange: #8a4700; }
  body { padding: 0; max-width: none; font-size: 10pt; } section { border: 0; padding: 0; }
  .scroll { overflow: visible; } table { font-size: 7.5pt; } th, td { padding: .15rem .3rem; }
  tr, .tile, .boxes > * { break-inside: avoid; } h2 { break-after: avoid; } }
)css";

std::string base64(const std::string& bytes) {
  static constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve(bytes.size() / 3 * 4 + 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const auto byte = [&](size_t i) { return at + i < bytes.size() ? uint32_t(uint8_t(bytes[at + i])) : 0U; };
    const uint32_t three = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (size_t i = 0; i < 4; ++i)
      text += at + i <= bytes.size() ? kLetters[three >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

}  // namespace

std::string html_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string html_page(const std::string& title, const std::string& body) {
  return concat("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n",
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
                html_text(title), "</title>\n<style>", kStyle, "</style></head>\n<body>\n<h1>",
                html_text(title), "</h1>\n", body, "</body></html>\n");
}

std::string html_section(const std::string& heading, const std::string& note, const std::string& body) {
  return concat("<section><h2>", html_text(heading), "</h2>\n",
                note.empty() ? std::string() : "<p class=\"soft\">" + note + "</p>\n", body, "</section>\n");
}

std::string html_table(const std::vector<std::string>& header,
                       const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return "";
  std::string text;
  for (size_t first = 1; first == 1 || first < header.size(); first += kMostColumns - 1) {
    const size_t last = std::min(first + kMostColumns - 1, header.size());
    const auto row_of = [&](const std::vector<std::string>& cells, const std::string& tag) {
      text += "<tr><" + tag + ">" + cells[0] + "</" + tag + ">";
      for (size_t c = first; c < last; ++c) text += "<" + tag + ">" + cells[c] + "</" + tag + ">";
      text += "</tr>\n";
    };
    text += "<div class=\"scroll\"><table><thead>";
    row_of(header, "th");
    text += "</thead><tbody>\n";
    for (const auto& row : rows) row_of(row, "td");
    text += "</tbody></table></div>\n";
  }
  return text;
}

std::string html_png(const std::string& path, const std::string& description) {
  const std::string bytes = whole_file(path);
  return concat("<img alt=\"", html_text(description), "\" src=\"data:image/png;base64,", base64(bytes),
                "\">");
}

}  // namespace mambaseg

#pragma once

#include <string>
#include <vector>

namespace mambaseg {

/// Text with <, >, &, " replaced.
std::string html_text(const std::string& text);

/// A whole page on its own: no scripts, nothing loaded from elsewhere; light and dark by the reader's
/// setting, always light on paper; readable from 320 pixels up.
std::string html_page(const std::string& title, const std::string& body);

/// <section> with a heading; `note` (HTML, may be empty) stands under the heading.
std::string html_section(const std::string& heading, const std::string& note, const std::string& body);

/// A table that scrolls on its own when it is wider than the page. Cells are HTML; the first column holds
/// names, the others figures. What has more columns than fit on paper is continued in further tables, the
/// names again in front. An empty table gives "".
std::string html_table(const std::vector<std::string>& header,
                       const std::vector<std::vector<std::string>>& rows);

/// A PNG file as <img> that carries its data. Throws Error naming the path.
std::string html_png(const std::string& path, const std::string& description);

}  // namespace mambaseg

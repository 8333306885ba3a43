#include <string>
#include <string_view>

#include <qconv/report.hpp>

#include "report/page.hpp"

namespace qconv {
namespace {

// JSON inside a script element. Every '<' of it is in a string, where this is the same character; without
// any, no name can end the element or begin a comment.
std::string inside_script(const std::string& json) {
  std::string safe;
  safe.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

// `text` with `part` in the place of the mark, which is there.
void put(std::string& text, std::string_view mark, std::string_view part) {
  text.replace(text.find(mark), mark.size(), part);
}

}  // namespace

std::string report_html(const NetworkReport& report) {
  std::string script;
  for (const std::string_view part : {report::format_js(), report::charts_js(), report::details_js(),
                                      report::graph_js(), report::table_js(), report::main_js()}) {
    script += part;
  }
  std::string page(report::page_html());
  put(page, "/*STYLE*/", report::style_css());
  // The data last: what stands in it is never searched for a mark.
  put(page, "/*SCRIPT*/", script);
  put(page, "/*DATA*/", inside_script(report_json(report)));
  return page;
}

}  // namespace qconv

#pragma once

#include <string_view>

/// The parts of the page, compiled in (cmake/QconvEmbed.cmake).
namespace qconv::report {

std::string_view page_html() noexcept;
std::string_view style_css() noexcept;
std::string_view format_js() noexcept;
std::string_view charts_js() noexcept;
std::string_view details_js() noexcept;
std::string_view graph_js() noexcept;
std::string_view table_js() noexcept;
std::string_view main_js() noexcept;

}  // namespace qconv::report

#pragma once

#include <cstdint>
#include <string>

#include <qconv/report.hpp>

namespace qconv::cli {

/// Throws, in the name of --report, when no report could be written into the folder: before long work, not
/// after it.
void require_report_folder(const std::string& folder);

/// What the report calls the networks and the data, and the sizes of the files.
struct ReportNames {
  std::string reference;
  std::uintmax_t reference_bytes = 0;
  std::string other;
  std::uintmax_t other_bytes = 0;
  std::string data;
};

/// Writes report.json and report.html.
void write_report(NetworkReport report, const ReportNames& names, const std::string& folder);

/// "report: DIR/report.html (and report.json)".
std::string report_line(const std::string& folder);

}  // namespace qconv::cli

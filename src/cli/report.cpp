#include "cli/report.hpp"

#include <filesystem>

#include "cli/files.hpp"
#include "support/check.hpp"

namespace qconv::cli {

void require_report_folder(const std::string& folder) {
  std::error_code error;
  const std::filesystem::path path(folder);
  if (std::filesystem::is_directory(path, error)) {
    require_folder_for(path / "report.html");
    return;
  }
  check<FileError>(!std::filesystem::exists(path, error), "--report {}: expected a folder, this is a file",
                   folder);
  // "out/" and "out" are the same folder to be made.
  require_folder_for(path.has_filename() ? path : path.parent_path());
}

void write_report(NetworkReport report, const ReportNames& names, const std::string& folder) {
  report.reference.name = names.reference;
  report.reference.file_bytes = names.reference_bytes;
  report.other.name = names.other;
  report.other.file_bytes = names.other_bytes;
  report.data = names.data;
  save_report(report, folder);
}

std::string report_line(const std::string& folder) {
  return fmt::format("report: {}", (std::filesystem::path(folder) / "report.html").string());
}

}  // namespace qconv::cli

#include <span>

#include <qconv/error.hpp>
#include <qconv/report.hpp>

#include "io/atomic_file.hpp"
#include "support/check.hpp"

namespace qconv {

void save_report(const NetworkReport& report, const std::filesystem::path& folder) {
  std::error_code failure;
  std::filesystem::create_directory(folder, failure);
  check<FileError>(std::filesystem::is_directory(folder), "{}: cannot make the folder: {}", folder.string(),
                   failure ? failure.message() : "there is a file of that name");
  const std::string json = report_json(report) + "\n";
  save_bytes(std::as_bytes(std::span(json)), folder / "report.json");
  const std::string html = report_html(report);
  save_bytes(std::as_bytes(std::span(html)), folder / "report.html");
}

}  // namespace qconv

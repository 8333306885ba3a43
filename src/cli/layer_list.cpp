#include "cli/layer_list.hpp"

#include <charconv>
#include <fstream>
#include <string_view>

#include "support/check.hpp"

namespace qconv::cli {
namespace {

constexpr std::string_view kHeader =
    "name,kind,ndim,N,C,K,in,kernel,stride,pad,dilation,groups,output_padding";
constexpr std::size_t kColumns = 13;
constexpr std::size_t kLongestLine = 4096;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// One line of the file, with what errors call it.
class Row {
 public:
  Row(std::string where, std::string_view line) : where_(std::move(where)), cells_(split(line, ',')) {
    check<FileError>(cells_.size() == kColumns, "{}: expected {} columns ({}), got {}", where_, kColumns,
                     kHeader, cells_.size());
  }

  const std::string& where() const { return where_; }
  std::string_view cell(std::size_t column) const { return cells_[column]; }

  std::int64_t number(std::size_t column) const { return parse(column, cells_[column]); }

  Spatial sizes(std::size_t column, int ndim, std::int64_t neutral) const {
    const auto parts = split(cells_[column], 'x');
    check<FileError>(parts.size() == static_cast<std::size_t>(ndim),
                     "{}: column {}: expected {} numbers joined by x, got '{}'", where_, name(column), ndim,
                     cells_[column]);
    Spatial result{neutral, neutral, neutral};
    for (std::size_t i = 0; i < parts.size(); ++i) {
      result[3 - parts.size() + i] = parse(column, parts[i]);
    }
    return result;
  }

 private:
  static std::string_view name(std::size_t column) { return split(kHeader, ',')[column]; }

  std::int64_t parse(std::size_t column, std::string_view text) const {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    check<FileError>(error == std::errc() && end == text.data() + text.size(),
                     "{}: column {}: expected a number, got '{}'", where_, name(column), text);
    return value;
  }

  std::string where_;
  std::vector<std::string_view> cells_;
};

NamedProblem to_problem(const Row& row) {
  check<FileError>(row.cell(1) == "conv" || row.cell(1) == "convT",
                   "{}: column kind: expected conv or convT, got '{}'", row.where(), row.cell(1));
  const std::int64_t ndim = row.number(2);
  check<FileError>(ndim >= 1 && ndim <= 3, "{}: column ndim: expected 1, 2 or 3, got {}", row.where(), ndim);
  ConvProblem p;
  ConvGeometry& g = p.geometry;
  g.ndim = static_cast<int>(ndim);
  g.transposed = row.cell(1) == "convT";
  p.batch = row.number(3);
  g.in_channels = row.number(4);
  g.out_channels = row.number(5);
  p.input = row.sizes(6, g.ndim, 1);
  g.kernel = row.sizes(7, g.ndim, 1);
  g.stride = row.sizes(8, g.ndim, 1);
  g.padding_begin = g.padding_end = row.sizes(9, g.ndim, 0);
  g.dilation = row.sizes(10, g.ndim, 1);
  g.groups = row.number(11);
  g.output_padding = row.sizes(12, g.ndim, 0);
  try {
    p.validate("layer");
  } catch (const Error& error) {
    throw FileError(fmt::format("{}: {}", row.where(), error.what()));
  }
  return {std::string(row.cell(0)), p};
}

}  // namespace

std::vector<NamedProblem> read_layers(const std::filesystem::path& path) {
  std::ifstream file(path);
  check<FileError>(file.good() && std::filesystem::is_regular_file(path), "{}: cannot open it: no such file",
                   path.string());
  std::vector<NamedProblem> layers;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    check<FileError>(line.size() <= kLongestLine, "{}:{}: a line of {} characters; expected a list of layers",
                     path.string(), number, line.size());
    if (number == 1) {
      check<FileError>(line == kHeader, "{}: not a list of layers: expected the first line to be '{}'",
                       path.string(), kHeader);
      continue;
    }
    if (line.empty()) continue;
    layers.push_back(to_problem(Row(fmt::format("{}:{}", path.string(), number), line)));
  }
  check<FileError>(!layers.empty(), "{}: no layers in it", path.string());
  return layers;
}

}  // namespace qconv::cli

#include "io/safetensors_header.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <optional>
#include <unordered_set>

#include <nlohmann/json.hpp>

#include "io/io_error.hpp"
#include "io/promised_size.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

struct DTypeName {
  std::string_view name;
  DType dtype;
};
constexpr std::array<DTypeName, 6> kDTypeNames{
    {{"F64", float64}, {"F32", float32}, {"I64", int64}, {"I32", int32}, {"U8", uint8}, {"I8", int8}}};

// Takes the header's JSON apart as it is read, and stops at the first thing that does not belong there. At
// most three levels deep: the file, a tensor (or the metadata), a list of numbers.
class HeaderParser final : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderParser(const std::string& file, SafetensorsHeader& header) : file_(file), header_(header) {}

  bool start_object(std::size_t /*count*/) override {
    if (level_ == Level::outside) {
      level_ = Level::file;
    } else if (level_ == Level::file) {
      level_ = in_metadata_ ? Level::metadata : Level::tensor;
      has_dtype_ = has_shape_ = has_offsets_ = false;
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(std::string& key) override {
    if (level_ == Level::file) {
      const auto [at, is_new] = names_.insert(key);
      check<FileError>(is_new, "{}: the header has two entries called {}", file_, printable(key));
      in_metadata_ = key == "__metadata__";
      if (!in_metadata_) header_.tensors.emplace_back().name = key;
    } else if (level_ == Level::metadata) {
      check<FileError>(!header_.metadata.contains(key), "{}: the metadata has two entries called {}", file_,
                       printable(key));
    } else {
      bool& seen = key == "dtype"          ? has_dtype_
                   : key == "shape"        ? has_shape_
                   : key == "data_offsets" ? has_offsets_
                                           : unknown_field(key);
      check<FileError>(!seen, "{}: tensor {} has two fields called {}", file_, tensor(), printable(key));
      seen = true;
    }
    key_ = key;
    return true;
  }

  bool string(std::string& value) override {
    if (level_ == Level::metadata) {
      header_.metadata.emplace(key_, value);
    } else if (level_ == Level::tensor && key_ == "dtype") {
      const auto* row = std::find_if(kDTypeNames.begin(), kDTypeNames.end(),
                                     [&](const auto& r) { return r.name == value; });
      check<FileError>(row != kDTypeNames.end(),
                       "{}: tensor {} has dtype {}; expected F64, F32, I64, I32, U8 or I8 (convert it first)",
                       file_, tensor(), printable(value));
      header_.tensors.back().dtype = row->dtype;
    } else {
      unexpected("a text");
    }
    return true;
  }

  bool start_array(std::size_t /*count*/) override {
    if (level_ != Level::tensor || key_ == "dtype") unexpected("a list");
    level_ = Level::numbers;
    numbers_.clear();
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (level_ != Level::numbers) unexpected("a number");
    const std::size_t most = key_ == "shape" ? kMaxRank : 2;
    check<FileError>(numbers_.size() < most, "{}: the {} of tensor {} has more than {} numbers", file_, key_,
                     tensor(), most);
    check<FileError>(value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()),
                     "{}: the {} of tensor {} holds {}, which is too large", file_, key_, tensor(), value);
    numbers_.push_back(static_cast<std::int64_t>(value));
    return true;
  }

  bool end_array() override {
    SafetensorsEntry& entry = header_.tensors.back();
    if (key_ == "shape") {
      entry.sizes = Shape(numbers_);
    } else {
      check<FileError>(numbers_.size() == 2, "{}: the data_offsets of tensor {} must be two numbers, got {}",
                       file_, tensor(), numbers_.size());
      entry.begin = static_cast<std::uint64_t>(numbers_[0]);
      entry.end = static_cast<std::uint64_t>(numbers_[1]);
    }
    level_ = Level::tensor;
    return true;
  }

  bool end_object() override {
    if (level_ == Level::tensor) {
      check<FileError>(has_dtype_ && has_shape_ && has_offsets_, "{}: tensor {} has no {}", file_, tensor(),
                       !has_dtype_   ? "dtype"
                       : !has_shape_ ? "shape"
                                     : "data_offsets");
    }
    level_ = level_ == Level::file ? Level::outside : Level::file;
    return true;
  }

  bool null() override { unexpected("null"); }
  bool boolean(bool /*value*/) override { unexpected("a truth value"); }
  bool binary(binary_t& /*value*/) override { unexpected("binary data"); }
  bool number_integer(std::int64_t value) override {
    unexpected(fmt::format("the negative number {}", value));
  }
  bool number_float(double /*value*/, const std::string& text) override {
    unexpected(fmt::format("the number {}", printable(text)));
  }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::json::exception& /*error*/) override {
    throw FileError(fmt::format("{}: the header is not valid JSON (at byte {})", file_, position + 7));
  }

 private:
  enum class Level { outside, file, metadata, tensor, numbers };

  [[noreturn]] void unexpected(std::string_view what) const {
    switch (level_) {
      case Level::outside:
        throw FileError(fmt::format("{}: the header is {}, expected an object", file_, what));
      case Level::file:
        throw FileError(fmt::format("{}: the header has {} for {}, expected an object", file_, what,
                                    in_metadata_ ? "__metadata__" : tensor()));
      case Level::metadata:
        throw FileError(fmt::format("{}: metadata {} is {}, expected a text", file_, printable(key_), what));
      default:
        throw FileError(fmt::format("{}: tensor {} has {} in its {}, expected {}", file_, tensor(), what,
                                    key_, key_ == "dtype" ? "a text" : "a list of numbers from 0 up"));
    }
  }
  [[noreturn]] bool& unknown_field(const std::string& key) const {
    throw FileError(
        fmt::format("{}: tensor {} has an unknown field {}, expected dtype, shape and data_offsets", file_,
                    tensor(), printable(key)));
  }
  std::string tensor() const { return printable(header_.tensors.back().name); }

  const std::string& file_;
  SafetensorsHeader& header_;
  Level level_ = Level::outside;
  std::string key_;
  std::unordered_set<std::string> names_;
  std::vector<std::int64_t> numbers_;
  bool in_metadata_ = false;
  bool has_dtype_ = false;
  bool has_shape_ = false;
  bool has_offsets_ = false;
};

void check_ranges(const SafetensorsHeader& header, const ByteSource& source) {
  const std::string& file = source.name();
  const std::uint64_t room = source.size() - header.data_start;
  for (const SafetensorsEntry& entry : header.tensors) {
    check<FileError>(entry.begin <= entry.end, "{}: tensor {} ends at {} before it begins at {}", file,
                     printable(entry.name), entry.end, entry.begin);
    check<FileError>(entry.end <= room,
                     "{}: header promises {} bytes at {} for tensor {} but the file has {}; it is truncated",
                     file, entry.end - entry.begin, header.data_start + entry.begin, printable(entry.name),
                     source.size());
    const auto bytes = promised_bytes(entry.sizes, entry.dtype);
    check<FileError>(bytes.has_value(), "{}: tensor {} of shape {} is larger than an address space", file,
                     printable(entry.name), entry.sizes.to_string());
    check<FileError>(*bytes == entry.end - entry.begin,
                     "{}: tensor {} is {} of shape {}, {} bytes, but its data_offsets hold {}", file,
                     printable(entry.name), safetensors_name(entry.dtype), entry.sizes.to_string(), *bytes,
                     entry.end - entry.begin);
  }
  std::vector<std::size_t> order(header.tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const SafetensorsEntry& x = header.tensors[a];
    const SafetensorsEntry& y = header.tensors[b];
    return std::pair(x.begin, x.end) < std::pair(y.begin, y.end);
  });
  std::uint64_t covered = 0;
  for (const std::size_t i : order) {
    const SafetensorsEntry& entry = header.tensors[i];
    check<FileError>(entry.begin >= covered,
                     "{}: tensor {} begins at {}, inside the tensor before it, which ends at {}", file,
                     printable(entry.name), entry.begin, covered);
    check<FileError>(entry.begin == covered, "{}: {} bytes before tensor {} belong to no tensor", file,
                     entry.begin - covered, printable(entry.name));
    covered = entry.end;
  }
  check<FileError>(covered == room, "{}: {} bytes at the end belong to no tensor", file, room - covered);
}

}  // namespace

std::string_view safetensors_name(DType dtype) noexcept {
  for (const DTypeName& row : kDTypeNames) {
    if (row.dtype == dtype) return row.name;
  }
  return "none";
}

SafetensorsHeader read_safetensors_header(const ByteSource& source) {
  const std::string& file = source.name();
  std::uint64_t length = 0;
  source.read(0, std::as_writable_bytes(std::span(&length, 1)));
  check<FileError>(length <= kMaxSafetensorsHeader,
                   "{}: a header of {} bytes is over the limit of {}; this is no safetensors file", file,
                   length, kMaxSafetensorsHeader);
  check<FileError>(length <= source.size() - sizeof(length),
                   "{}: a header of {} bytes is promised but the file has {}; it is truncated", file, length,
                   source.size());
  std::string text(length, '\0');
  source.read(sizeof(length), std::as_writable_bytes(std::span(text)));
  check<FileError>(text.starts_with('{'),
                   "{}: the header does not begin with '{{'; this is no safetensors file", file);
  SafetensorsHeader header;
  header.data_start = sizeof(length) + length;
  HeaderParser parser(file, header);
  nlohmann::json::sax_parse(text, &parser);
  check_ranges(header, source);
  return header;
}

}  // namespace qconv

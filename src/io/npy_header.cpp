#include "io/npy_header.hpp"

#include <array>
#include <charconv>
#include <cstring>
#include <limits>

#include "io/io_error.hpp"
#include "io/promised_size.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kLongestLiteral = 1 << 16;

struct NumpyName {
  std::string_view name;  // numpy's kind and width
  DType dtype;
};
constexpr std::array<NumpyName, 6> kNumpyNames{
    {{"f4", float32}, {"f8", float64}, {"i4", int32}, {"i8", int64}, {"u1", uint8}, {"i1", int8}}};

// Reads the one Python literal that such a header holds, and nothing else:
//   {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class LiteralParser {
 public:
  LiteralParser(std::string_view text, const std::string& who) : text_(text), who_(who) {}

  NpyHeader parse() {
    NpyHeader header;
    expect('{');
    bool has_descr = false;
    bool has_order = false;
    bool has_shape = false;
    while (!accept('}')) {
      const std::string_view key = text_value();
      expect(':');
      bool& seen = key == "descr"           ? has_descr
                   : key == "fortran_order" ? has_order
                   : key == "shape"         ? has_shape
                                            : bad(key);
      check<FileError>(!seen, "{}: the array header has two entries called {}", who_, printable(key));
      seen = true;
      if (key == "descr") {
        descr(header);
      } else if (key == "fortran_order") {
        header.fortran_order = truth();
      } else {
        header.sizes = shape();
      }
      if (accept(',')) continue;
      expect('}');
      break;
    }
    check<FileError>(has_descr && has_order && has_shape, "{}: the array header has no {}", who_,
                     !has_descr   ? "descr"
                     : !has_order ? "fortran_order"
                                  : "shape");
    skip_spaces();
    check<FileError>(text_.empty() || text_ == "\n", "{}: the array header goes on after its end", who_);
    return header;
  }

 private:
  void skip_spaces() {
    while (text_.starts_with(' ')) text_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_spaces();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    check<FileError>(accept(c), "{}: the array header has {} where '{}' was expected", who_,
                     printable(text_.substr(0, 10)), c);
  }
  [[noreturn]] bool& bad(std::string_view key) const {
    throw FileError(fmt::format("{}: the array header has an unknown entry {}", who_, printable(key)));
  }

  std::string_view text_value() {
    skip_spaces();
    const char quote = text_.starts_with('"') ? '"' : '\'';
    expect(quote);
    const std::size_t end = text_.find(quote);
    check<FileError>(end < text_.size(), "{}: a text in the array header does not end", who_);
    const std::string_view value = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return value;
  }

  bool truth() {
    skip_spaces();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.starts_with(word)) {
        text_.remove_prefix(word.size());
        return word == "True";
      }
    }
    throw FileError(
        fmt::format("{}: fortran_order is {}, expected True or False", who_, printable(text_.substr(0, 10))));
  }

  void descr(NpyHeader& header) {
    skip_spaces();
    check<FileError>(!text_.starts_with('['), "{}: arrays of records (structured dtypes) are not supported",
                     who_);
    const std::string_view value = text_value();
    for (const NumpyName& row : kNumpyNames) {
      if (value.size() == 3 && value.substr(1) == row.name && std::strchr("<>|=", value[0]) != nullptr) {
        header.dtype = row.dtype;
        header.big_endian = value[0] == '>' && element_size(row.dtype) > 1;
        return;
      }
    }
    throw FileError(
        fmt::format("{}: the array has dtype {}; expected float32, float64, int32, int64, uint8 or int8 "
                    "(convert it with astype)",
                    who_, printable(value)));
  }

  Shape shape() {
    Shape sizes;
    expect('(');
    while (!accept(')')) {
      skip_spaces();
      std::int64_t size = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), size);
      check<FileError>(error == std::errc() && size >= 0, "{}: the shape holds {}, expected a size", who_,
                       printable(text_.substr(0, 21)));
      check<FileError>(sizes.rank() < kMaxRank, "{}: the array has more than {} dimensions", who_, kMaxRank);
      sizes.push_back(size);
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
      if (accept(',')) continue;
      expect(')');
      check<FileError>(sizes.rank() > 1, "{}: the shape is a number, expected a tuple", who_);
      break;
    }
    return sizes;
  }

  std::string_view text_;
  const std::string& who_;
};

}  // namespace

NpyHeader read_npy_header(const ReadNext& read_next, const std::string& who) {
  std::array<char, 8> start{};
  read_next(std::as_writable_bytes(std::span(start)));
  check<FileError>(std::string_view(start.data(), kMagic.size()) == kMagic,
                   "{}: does not begin as a .npy file does (it begins with {})", who,
                   printable({start.data(), kMagic.size()}));
  const int version = static_cast<unsigned char>(start[6]);
  check<FileError>(version >= 1 && version <= 3,
                   "{}: .npy format version {} is not known, expected 1, 2 or 3", who, version);
  const std::size_t width = version == 1 ? 2 : 4;
  std::uint32_t length = 0;
  read_next(std::as_writable_bytes(std::span(&length, 1)).first(width));
  check<FileError>(length <= kLongestLiteral, "{}: an array header of {} bytes is over the limit of {}", who,
                   length, kLongestLiteral);
  std::string text(length, '\0');
  read_next(std::as_writable_bytes(std::span(text)));
  NpyHeader header = LiteralParser(text, who).parse();
  header.header_bytes = start.size() + width + length;
  const auto bytes = promised_bytes(header.sizes, header.dtype);
  check<FileError>(bytes.has_value(), "{}: an array of shape {} is larger than an address space", who,
                   header.sizes.to_string());
  header.data_bytes = *bytes;
  return header;
}

std::string npy_header_text(DType dtype, const Shape& sizes) {
  const DType storage = info(dtype).storage;
  std::string_view name;
  for (const NumpyName& row : kNumpyNames) {
    if (row.dtype == storage) name = row.name;
  }
  std::string text = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': {}, }}",
                                 element_size(storage) == 1 ? '|' : '<', name, sizes.to_string());
  constexpr std::size_t kStart = 10;  // magic, version, length
  text.append(63 - (kStart + text.size()) % 64, ' ');
  text += '\n';
  std::string start(kMagic);
  start += {1, 0, static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return start + text;
}

}  // namespace qconv

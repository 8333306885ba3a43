#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

namespace qconv {

/// Writes the operations of a pickle of protocol 2.
class PickleWriter {
 public:
  PickleWriter() { out_ = "\x80\x02"; }

  void op(char operation) { out_ += operation; }
  void none() { op('N'); }
  void boolean(bool value) { op(value ? '\x88' : '\x89'); }
  void integer(std::int64_t value) {
    if (value == static_cast<std::int32_t>(value)) {
      op('J');
      raw(static_cast<std::int32_t>(value));
    } else {
      out_ += "\x8a\x08";
      raw(value);
    }
  }
  void real(double value) {
    op('G');
    raw(__builtin_bswap64(std::bit_cast<std::uint64_t>(value)));
  }
  void text(std::string_view value) {
    op('X');
    raw(static_cast<std::uint32_t>(value.size()));
    out_ += value;
  }
  void global(std::string_view module, std::string_view name) {
    op('c');
    out_.append(module).append("\n").append(name).append("\n");
  }
  void mark() { op('('); }
  void tuple() { op('t'); }
  template <class Integers>
  void tuple_of(const Integers& values) {
    mark();
    for (const std::int64_t value : values) integer(value);
    tuple();
  }
  /// An OrderedDict without items.
  void ordered_dict() {
    global("collections", "OrderedDict");
    op(')');
    op('R');
  }
  std::string finish() {
    op('.');
    return std::move(out_);
  }

 private:
  template <class T>
  void raw(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }

  std::string out_;
};

}  // namespace qconv

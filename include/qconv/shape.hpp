#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include <qconv/export.hpp>

namespace qconv {

/// The highest rank of a Tensor.
inline constexpr int kMaxRank = 8;

/// A short list of integers, used for sizes and for strides. Never allocates.
class QCONV_API Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> values) : Shape(std::span(values.begin(), values.size())) {}
  Shape(const std::vector<std::int64_t>& values) : Shape(std::span(values)) {}
  /// Throws ValueError for more than kMaxRank values.
  explicit Shape(std::span<const std::int64_t> values);
  /// `rank` copies of `value`.
  static Shape filled(int rank, std::int64_t value);

  int rank() const noexcept { return rank_; }
  bool empty() const noexcept { return rank_ == 0; }
  std::int64_t operator[](int i) const noexcept { return values_[static_cast<std::size_t>(i)]; }
  std::int64_t& operator[](int i) noexcept { return values_[static_cast<std::size_t>(i)]; }
  const std::int64_t* begin() const noexcept { return values_.data(); }
  const std::int64_t* end() const noexcept { return values_.data() + rank_; }
  std::int64_t* begin() noexcept { return values_.data(); }
  std::int64_t* end() noexcept { return values_.data() + rank_; }
  void push_back(std::int64_t value);
  std::vector<std::int64_t> vec() const { return {begin(), end()}; }

  /// The product of the values. Throws ValueError when one is negative or when the product leaves int64.
  std::int64_t numel() const;

  /// "(1, 3, 8, 8)"; "(5,)" for one value, as Python prints a tuple.
  std::string to_string() const;

  friend bool operator==(const Shape& a, const Shape& b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  std::array<std::int64_t, kMaxRank> values_{};
  int rank_ = 0;
};

}  // namespace qconv

#include <fmt/ranges.h>

#include <qconv/memory_format.hpp>
#include <qconv/shape.hpp>

#include "support/check.hpp"

namespace qconv {

Shape::Shape(std::span<const std::int64_t> values) {
  check(values.size() <= kMaxRank, "a tensor has at most {} dimensions, got {}", kMaxRank, values.size());
  std::copy(values.begin(), values.end(), values_.begin());
  rank_ = static_cast<int>(values.size());
}

Shape Shape::filled(int rank, std::int64_t value) {
  check(rank >= 0 && rank <= kMaxRank, "a tensor has at most {} dimensions, got {}", kMaxRank, rank);
  Shape shape;
  shape.rank_ = rank;
  std::fill(shape.begin(), shape.end(), value);
  return shape;
}

void Shape::push_back(std::int64_t value) {
  check(rank_ < kMaxRank, "a tensor has at most {} dimensions", kMaxRank);
  values_[static_cast<std::size_t>(rank_++)] = value;
}

std::int64_t Shape::numel() const {
  std::int64_t product = 1;
  bool overflow = false;
  bool empty = false;
  for (std::int64_t v : *this) {
    check(v >= 0, "sizes must not be negative, got {}", *this);
    empty = empty || v == 0;
    overflow = overflow || __builtin_mul_overflow(product, v, &product);
  }
  if (empty) return 0;
  check(!overflow, "a tensor of sizes {} has more elements than an int64 can count", *this);
  return product;
}

std::string Shape::to_string() const {
  return rank_ == 1 ? fmt::format("({},)", values_[0]) : fmt::format("({})", fmt::join(begin(), end(), ", "));
}

Shape dense_strides(const Shape& sizes, MemoryFormat format) {
  Shape strides = sizes;
  std::int64_t step = 1;
  // A size of 0 must not zero the strides: PyTorch counts it as 1.
  const auto place = [&](int dim) {
    strides[dim] = step;
    check(!__builtin_mul_overflow(step, std::max<std::int64_t>(sizes[dim], 1), &step),
          "a tensor of sizes {} has more elements than an int64 can count", sizes);
  };
  const int rank = sizes.rank();
  if (format == MemoryFormat::channels_last) {
    check(rank >= 3 && rank <= 5, "channels_last needs a tensor of 3, 4 or 5 dimensions, got sizes {}",
          sizes);
    place(1);
    for (int dim = rank - 1; dim >= 2; --dim) place(dim);
    place(0);
  } else {
    for (int dim = rank - 1; dim >= 0; --dim) place(dim);
  }
  return strides;
}

}  // namespace qconv

#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <qconv/tensor.hpp>

#include "support/parallel_chunks.hpp"

/// Loops over two operands that are broadcast to each other as in NumPy.
namespace qconv::ops {

/// The sizes that `a` and `b` broadcast to. Throws ValueError, naming `who`, when they do not fit.
Shape broadcast_sizes(std::string_view who, const Shape& a, const Shape& b);

/// The result of two operands in memory order: rows of `length` elements, along which an operand either moves
/// element by element or stands still.
class Broadcast {
 public:
  /// Throws ValueError, naming `who`, when the sizes do not fit. The result is channels-last when the operand
  /// that has its sizes, the first if both do, is.
  Broadcast(std::string_view who, const Tensor& a, const Tensor& b);

  const Shape& sizes() const noexcept { return sizes_; }
  MemoryFormat format() const noexcept { return format_; }

  /// Calls body(a, a_step, b, b_step, y, count) for stretches of the result, in parallel on `pool`; steps are
  /// 0 or 1, offsets are of elements into a_data(), b_data() and the result.
  template <class Body>
  void for_each_row(ThreadPool& pool, const Body& body) const {
    if (rows_ == 0 || length_ == 0) return;
    const std::int64_t grain = std::max<std::int64_t>(1, kGrain / length_);
    if (rows_ == 1) {
      parallel_chunks(pool, length_, kGrain, [&](std::int64_t begin, std::int64_t end) {
        body(begin * a_step_, a_step_, begin * b_step_, b_step_, begin, end - begin);
      });
      return;
    }
    parallel_chunks(pool, rows_, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        std::int64_t a = 0;
        std::int64_t b = 0;
        std::int64_t rest = row;
        for (const Outer& outer : outer_) {
          const std::int64_t index = rest % outer.size;
          rest /= outer.size;
          a += index * outer.a_stride;
          b += index * outer.b_stride;
        }
        body(a, a_step_, b, b_step_, row * length_, length_);
      }
    });
  }
  /// The operands, dense in memory.
  const Tensor& a() const noexcept { return a_; }
  const Tensor& b() const noexcept { return b_; }

 private:
  static constexpr std::int64_t kGrain = 32768;
  struct Outer {
    std::int64_t size, a_stride, b_stride;
  };

  Shape sizes_;
  MemoryFormat format_;
  Tensor a_, b_;
  std::vector<Outer> outer_;  // innermost first
  std::int64_t rows_ = 1;
  std::int64_t length_ = 1;
  std::int64_t a_step_ = 0;
  std::int64_t b_step_ = 0;
};

}  // namespace qconv::ops

// Padding of any dimensions in four modes.
#include <array>
#include <cstring>
#include <vector>

#include <fmt/ranges.h>

#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>

#include "engines/floating/float_pool.hpp"
#include "ops/args.hpp"
#include "quantize/requant_math.hpp"
#include "support/check.hpp"
#include "support/parallel_chunks.hpp"

namespace qconv {
namespace {

struct Border {
  std::int64_t begin = 0, end = 0;
};

// One dimension of the result: its size and what it shows.
struct Axis {
  std::int64_t in, out;
  Border border;
  PaddingMode mode;

  bool padded() const noexcept { return border.begin != 0 || border.end != 0; }
  // The input index behind output index `o`; -1 for a constant.
  std::int64_t source(std::int64_t o) const noexcept {
    const std::int64_t i = o - border.begin;
    if (i >= 0 && i < in) return i;
    switch (mode) {
      case PaddingMode::zeros:
        return -1;
      case PaddingMode::reflect:
        return i < 0 ? -i : 2 * (in - 1) - i;
      case PaddingMode::replicate:
        return i < 0 ? 0 : in - 1;
      case PaddingMode::circular:
        return i < 0 ? i + in : i - in;
    }
    return -1;
  }
};

std::array<Border, kMaxRank> borders(std::string_view who, const Tensor& x,
                                     std::span<const std::int64_t> pad) {
  check(pad.size() % 2 == 0 && pad.size() <= 2 * static_cast<std::size_t>(x.dim()),
        "{}: expected a begin and an end for at most {} dimensions, last dimension first, got ({})", who,
        x.dim(), fmt::join(pad, ", "));
  std::array<Border, kMaxRank> result{};
  for (std::size_t i = 0; i < pad.size() / 2; ++i) {
    result[static_cast<std::size_t>(x.dim()) - 1 - i] = {pad[2 * i], pad[2 * i + 1]};
  }
  return result;
}

Axis make_axis(std::string_view who, const Tensor& x, int dim, Border border, PaddingMode mode) {
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  const std::int64_t in = x.sizes()[dim];
  const auto reasonable = [](std::int64_t v) { return v >= -kMost && v <= kMost; };
  check(reasonable(border.begin) && reasonable(border.end),
        "{}: padding ({}, {}) of dimension {} is beyond reason", who, border.begin, border.end, dim);
  const Axis axis{in, in + border.begin + border.end, border, mode};
  const std::int64_t most = std::max(border.begin, border.end);
  check(axis.out >= 0 && in + border.begin >= 0 && in + border.end >= 0,
        "{}: padding ({}, {}) crops more than the {} elements of dimension {}", who, border.begin, border.end,
        in, dim);
  if (most <= 0 || mode == PaddingMode::zeros) return axis;
  check(in > 0 || x.numel() == 0, "{}: dimension {} has nothing to repeat", who, dim);
  check(mode != PaddingMode::reflect || most < in,
        "{}: reflect padding must be smaller than the dimension, got ({}, {}) for {} elements (dimension {})",
        who, border.begin, border.end, in, dim);
  check(mode != PaddingMode::circular || most <= in,
        "{}: circular padding must not exceed the dimension, got ({}, {}) for {} elements (dimension {})",
        who, border.begin, border.end, in, dim);
  check(mode != PaddingMode::replicate || in > 0, "{}: replicate padding of dimension {}, which is empty",
        who, dim);
  return axis;
}

// `count` copies of one element of `width` bytes.
void fill(char* to, const void* element, std::int64_t count, std::size_t width) {
  if (width == 1) {
    std::memset(to, *static_cast<const unsigned char*>(element), static_cast<std::size_t>(count));
    return;
  }
  for (std::int64_t i = 0; i < count; ++i)
    std::memcpy(to + static_cast<std::size_t>(i) * width, element, width);
}

// Pads dense memory. The axes are in memory order, slowest first; those behind the last padded one are one
// unit, and stretches of units that stay together are copied together.
class PadLoop {
 public:
  PadLoop(std::vector<Axis> axes, std::size_t width, const void* value) : width_(width), value_(value) {
    while (axes.size() > 1 && !axes.back().padded()) {
      unit_ *= axes.back().in;
      axes.pop_back();
    }
    inner_ = axes.back();
    axes.pop_back();
    outer_ = std::move(axes);
    for (const Axis& a : outer_) rows_ *= a.out;
  }

  void run(ThreadPool& pool, const char* from, char* to) const {
    const std::int64_t row_bytes = inner_.out * unit_ * static_cast<std::int64_t>(width_);
    const std::int64_t grain = std::max<std::int64_t>(1, 65536 / std::max<std::int64_t>(1, row_bytes));
    parallel_chunks(pool, rows_, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t source = source_row(row);
        char* target = to + row * row_bytes;
        if (source < 0) {
          fill(target, value_, inner_.out * unit_, width_);
        } else {
          copy_row(from + source * inner_.in * unit_ * static_cast<std::int64_t>(width_), target);
        }
      }
    });
  }

 private:
  // The input row behind an output row; -1 when it lies in constant padding.
  std::int64_t source_row(std::int64_t row) const {
    std::int64_t source = 0;
    std::int64_t factor = 1;
    for (auto axis = outer_.rbegin(); axis != outer_.rend(); ++axis) {
      const std::int64_t i = axis->source(row % axis->out);
      if (i < 0) return -1;
      source += i * factor;
      factor *= axis->in;
      row /= axis->out;
    }
    return source;
  }

  void copy_row(const char* from, char* to) const {
    const std::size_t unit_bytes = static_cast<std::size_t>(unit_) * width_;
    const std::int64_t first = std::max<std::int64_t>(0, inner_.border.begin);  // where the input shows
    const std::int64_t last = std::min(inner_.out, inner_.border.begin + inner_.in);
    const auto edge = [&](std::int64_t o) {
      char* target = to + static_cast<std::size_t>(o) * unit_bytes;
      const std::int64_t i = inner_.source(o);
      if (i < 0) {
        fill(target, value_, unit_, width_);
      } else {
        std::memcpy(target, from + static_cast<std::size_t>(i) * unit_bytes, unit_bytes);
      }
    };
    for (std::int64_t o = 0; o < std::min(first, inner_.out); ++o) edge(o);
    if (last > first) {
      std::memcpy(to + static_cast<std::size_t>(first) * unit_bytes,
                  from + static_cast<std::size_t>(first - inner_.border.begin) * unit_bytes,
                  static_cast<std::size_t>(last - first) * unit_bytes);
    }
    for (std::int64_t o = std::max(first, last); o < inner_.out; ++o) edge(o);
  }

  std::vector<Axis> outer_;
  Axis inner_{};
  std::int64_t unit_ = 1;  // elements
  std::int64_t rows_ = 1;
  std::size_t width_;
  const void* value_;
};

// `value` as an element of the tensor's dtype.
std::array<char, 8> element_of(std::string_view who, const Tensor& x, double value) {
  std::array<char, 8> bytes{};
  const auto store = [&](auto v) { std::memcpy(bytes.data(), &v, sizeof(v)); };
  if (x.is_quantized()) {
    check<TypeError>(!x.qparams().is_per_channel(), "{}: quantized tensors are padded per tensor, got {}",
                     who, x);
    const DTypeInfo& row = info(x.dtype());
    const float inverse = 1.0F / static_cast<float>(x.q_scale());
    const auto zero_point = static_cast<std::int32_t>(x.q_zero_point());
    const auto real = static_cast<float>(value);
    if (x.dtype() == qint32) {
      store(math::quantize_one_int32(real, inverse, zero_point));
    } else {
      store(static_cast<std::uint8_t>(math::quantize_one(real, inverse, zero_point,
                                                         static_cast<std::int32_t>(row.quant_min),
                                                         static_cast<std::int32_t>(row.quant_max))));
    }
    return bytes;
  }
  const auto integer = [&]<class T>(T) {
    check(value >= static_cast<double>(std::numeric_limits<T>::lowest()) &&
              value < static_cast<double>(std::numeric_limits<T>::max()) + 1,
          "{}: value {} does not fit {}", who, value, to_string(x.dtype()));
    store(static_cast<T>(value));
  };
  switch (x.dtype()) {
    case DType::float32:
      store(static_cast<float>(value));
      break;
    case DType::float64:
      store(value);
      break;
    case DType::int32:
      integer(std::int32_t{});
      break;
    case DType::int64:
      integer(std::int64_t{});
      break;
    case DType::uint8:
      integer(std::uint8_t{});
      break;
    default:
      integer(std::int8_t{});
  }
  return bytes;
}

}  // namespace

namespace functional {

Tensor pad(const Tensor& input, std::span<const std::int64_t> pad, PaddingMode mode, double value) {
  check(input.defined(), "pad: the input is undefined");
  check(input.dim() > 0, "pad: a tensor without dimensions has no border");
  const auto border = borders("pad", input, pad);
  const auto element = element_of("pad", input, value);
  const MemoryFormat format = ops::natural_format(input.dim());
  std::vector<Axis> axes;
  Shape sizes = input.sizes();
  for (int d = 0; d < input.dim(); ++d) {
    axes.push_back(make_axis("pad", input, d, border[static_cast<std::size_t>(d)], mode));
    sizes[d] = axes.back().out;
  }
  if (format == MemoryFormat::channels_last) std::rotate(axes.begin() + 1, axes.begin() + 2, axes.end());
  Tensor result = ops::empty_like(input, sizes, format);
  const Tensor dense = input.contiguous(format);
  if (result.numel() == 0) return result;
  PadLoop(std::move(axes), element_size(input.dtype()), element.data())
      .run(*engines::pool_for(input.dtype()), static_cast<const char*>(dense.raw_data()),
           static_cast<char*>(result.raw_mutable_data()));
  return result;
}

}  // namespace functional

namespace ops {

Tensor pad(const Tensor& qx, std::span<const std::int64_t> pad, PaddingMode mode, double value) {
  check_int8("pad", qx);
  return functional::pad(qx, pad, mode, value);
}

}  // namespace ops
}  // namespace qconv

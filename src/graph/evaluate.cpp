// Elements of results that are known before a network runs: sizes, and constants that are moved about.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "graph/infer.hpp"
#include "support/check.hpp"

namespace qconv::graph {
namespace {

using Facts = std::span<const Fact>;

// Sizes and indices: int64, or int32 converted.
std::vector<std::int64_t> integers(const Tensor& t, std::string_view who) {
  if (t.dtype() == DType::int64) return t.to_vector<std::int64_t>();
  check(t.dtype() == DType::int32, "{}: expected integers, got {}", who, to_string(t.dtype()));
  const auto narrow = t.to_vector<std::int32_t>();
  return {narrow.begin(), narrow.end()};
}

// Walks the indices of `sizes` in row-major order.
template <class Visit>
void for_each_index(const Shape& sizes, const Visit& visit) {
  const std::int64_t count = sizes.numel();
  Shape index = Shape::filled(sizes.rank(), 0);
  for (std::int64_t i = 0; i < count; ++i) {
    visit(i, index);
    for (int d = sizes.rank() - 1; d >= 0; --d) {
      if (++index[d] < sizes[d]) break;
      index[d] = 0;
    }
  }
}

// A tensor whose elements are copies of elements of `x`: source(index) is an offset in elements into its
// contiguous memory.
template <class Source>
Tensor pick(const Tensor& x, const Shape& sizes, const Source& source) {
  const Tensor dense = x.contiguous();
  Tensor out = Tensor::empty(sizes, x.dtype());
  const std::size_t size = element_size(x.dtype());
  const auto* from = static_cast<const std::byte*>(dense.raw_data());
  auto* to = static_cast<std::byte*>(out.raw_mutable_data());
  for_each_index(sizes, [&](std::int64_t i, const Shape& index) {
    std::memcpy(to + static_cast<std::size_t>(i) * size,
                from + static_cast<std::size_t>(source(index)) * size, size);
  });
  return out;
}

std::int64_t offset_of(const Shape& index, const Shape& strides) {
  std::int64_t offset = 0;
  for (int d = 0; d < index.rank(); ++d) offset += index[d] * strides[d];
  return offset;
}

// Strides with which `sizes`, aligned at the right, is read for a result of `rank` dimensions: 0 where it is
// repeated.
Shape broadcast_strides(const Shape& sizes, int rank) {
  Shape strides = Shape::filled(rank, 0);
  std::int64_t step = 1;
  for (int d = sizes.rank() - 1; d >= 0; --d) {
    strides[d + rank - sizes.rank()] = sizes[d] == 1 ? 0 : step;
    step *= sizes[d];
  }
  return strides;
}

template <class T, class F>
Tensor binary(const Tensor& a, const Tensor& b, const Shape& sizes, const F& f) {
  Tensor out = Tensor::empty(sizes, dtype_of<T>);
  const Tensor left = a.contiguous();
  const Tensor right = b.contiguous();
  const Shape left_strides = broadcast_strides(a.sizes(), sizes.rank());
  const Shape right_strides = broadcast_strides(b.sizes(), sizes.rank());
  for_each_index(sizes, [&](std::int64_t i, const Shape& index) {
    out.mutable_data<T>()[i] =
        f(left.data<T>()[offset_of(index, left_strides)], right.data<T>()[offset_of(index, right_strides)]);
  });
  return out;
}

enum class Binary { add, sub, mul, div };

Tensor arithmetic(const Tensor& a, const Tensor& b, const Shape& sizes, Binary kind) {
  check(a.dtype() == b.dtype(), "operands of dtype {} and {}", to_string(a.dtype()), to_string(b.dtype()));
  if (a.dtype() == DType::float32) {
    return binary<float>(a, b, sizes, [&](float x, float y) {
      return kind == Binary::add ? x + y : kind == Binary::sub ? x - y : kind == Binary::mul ? x * y : x / y;
    });
  }
  check(a.dtype() == DType::int64, "arithmetic on {} is not supported", to_string(a.dtype()));
  return binary<std::int64_t>(a, b, sizes, [&](std::int64_t x, std::int64_t y) {
    std::int64_t r = 0;
    bool overflow = false;
    switch (kind) {
      case Binary::add:
        overflow = __builtin_add_overflow(x, y, &r);
        break;
      case Binary::sub:
        overflow = __builtin_sub_overflow(x, y, &r);
        break;
      case Binary::mul:
        overflow = __builtin_mul_overflow(x, y, &r);
        break;
      case Binary::div:
        check(y != 0, "division by zero in the arithmetic on sizes");
        overflow = y == -1 && x == std::numeric_limits<std::int64_t>::min();
        if (!overflow) r = x / y;
        break;
    }
    check(!overflow, "overflow in the arithmetic on sizes");
    return r;
  });
}

struct Evaluate {
  Facts in;
  const std::optional<Shape>& sizes;  // of the result, as inferred
  std::size_t& budget;

  const Tensor& tensor(std::size_t i) const { return in[i].tensor; }
  bool has(std::size_t i) const { return i < in.size() && in[i].tensor.defined(); }

  void spend(const Shape& result, DType dtype) const {
    const auto count = static_cast<std::size_t>(result.numel());
    check(count <= budget / element_size(dtype), "constants of sizes {} are too large to work out in advance",
          result.to_string());
    budget -= count * element_size(dtype);
  }
  // A constant reshaped keeps its memory.
  Tensor reshaped() const {
    if (tensor(0).is_contiguous()) return tensor(0).view(*sizes);
    spend(*sizes, tensor(0).dtype());
    return tensor(0).contiguous().view(*sizes);
  }

  template <class Other>
  Tensor operator()(const Other&) const {
    return {};
  }
  Tensor operator()(const Flatten&) const { return reshaped(); }
  Tensor operator()(const Reshape&) const { return reshaped(); }
  Tensor operator()(const Unsqueeze&) const { return reshaped(); }
  Tensor operator()(const Squeeze&) const { return reshaped(); }
  Tensor operator()(const Add& a) const {
    if (!a.range.unlimited()) return {};
    spend(*sizes, tensor(0).dtype());
    return arithmetic(tensor(0), tensor(1), *sizes, Binary::add);
  }
  Tensor operator()(const SizeArithmetic& a) const {
    spend(*sizes, tensor(0).dtype());
    switch (a.kind) {
      case Arithmetic::sub:
        return arithmetic(tensor(0), tensor(1), *sizes, Binary::sub);
      case Arithmetic::mul:
        return arithmetic(tensor(0), tensor(1), *sizes, Binary::mul);
      case Arithmetic::div:
        return arithmetic(tensor(0), tensor(1), *sizes, Binary::div);
      case Arithmetic::floor:
      case Arithmetic::ceil:
        break;
    }
    check(tensor(0).dtype() == DType::float32, "Floor and Ceil take float32, got {}",
          to_string(tensor(0).dtype()));
    Tensor out = tensor(0).clone();
    float* v = out.mutable_data<float>();
    for (std::int64_t i = 0; i < out.numel(); ++i)
      v[i] = a.kind == Arithmetic::floor ? std::floor(v[i]) : std::ceil(v[i]);
    return out;
  }
  Tensor operator()(const Concat& c) const {
    spend(*sizes, tensor(0).dtype());
    Tensor out = Tensor::empty(*sizes, tensor(0).dtype());
    const int axis = c.axis < 0 ? c.axis + sizes->rank() : c.axis;
    std::int64_t start = 0;
    for (const Fact& f : in) {
      check(f.tensor.dtype() == out.dtype(), "Concat: dtypes {} and {}", to_string(out.dtype()),
            to_string(f.tensor.dtype()));
      out.narrow(axis, start, f.tensor.size(axis)).copy_(f.tensor);
      start += f.tensor.size(axis);
    }
    return out;
  }
  Tensor operator()(const Transpose& t) const {
    spend(*sizes, tensor(0).dtype());
    Shape dims;
    for (int d = 0; d < sizes->rank(); ++d) {
      dims.push_back(t.permutation.empty() ? sizes->rank() - 1 - d
                                           : t.permutation[static_cast<std::size_t>(d)]);
    }
    return tensor(0).permute(dims).contiguous();
  }
  Tensor operator()(const Gather& g) const {
    const Tensor& x = tensor(0);
    spend(*sizes, x.dtype());
    const int axis = g.axis < 0 ? g.axis + x.dim() : g.axis;
    std::vector<std::int64_t> indices = integers(tensor(1), "Gather");
    for (std::int64_t& i : indices) {
      const std::int64_t wrapped = i < 0 ? i + x.size(axis) : i;
      check(wrapped >= 0 && wrapped < x.size(axis), "Gather: index {} is out of range for a size of {}", i,
            x.size(axis));
      i = wrapped;
    }
    const Shape strides = dense_strides(x.sizes(), MemoryFormat::contiguous);
    const int index_rank = tensor(1).dim();
    const Shape index_strides = dense_strides(tensor(1).sizes(), MemoryFormat::contiguous);
    return pick(x, *sizes, [&](const Shape& index) {
      std::int64_t which = 0;
      for (int d = 0; d < index_rank; ++d) which += index[axis + d] * index_strides[d];
      std::int64_t offset = indices[static_cast<std::size_t>(which)] * strides[axis];
      for (int d = 0; d < axis; ++d) offset += index[d] * strides[d];
      for (int d = axis + 1; d < x.dim(); ++d) offset += index[d - 1 + index_rank] * strides[d];
      return offset;
    });
  }
  Tensor operator()(const Cast& c) const {
    const Tensor& x = tensor(0);
    if (x.dtype() == c.to) return x;
    spend(*sizes, c.to);
    Tensor out = Tensor::empty(x.sizes(), c.to);
    const auto values = [&]() -> std::vector<double> {
      std::vector<double> v(static_cast<std::size_t>(x.numel()));
      const Tensor flat = x.contiguous().view({x.numel()});
      for (std::int64_t i = 0; i < x.numel(); ++i) v[static_cast<std::size_t>(i)] = flat.select(0, i).item();
      return v;
    }();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double v = values[i];
      if (c.to == DType::float32) {
        out.mutable_data<float>()[i] = static_cast<float>(v);
        continue;
      }
      check(std::isfinite(v) && std::abs(v) < 9007199254740992.0, "Cast: {} is no size", v);
      if (c.to == DType::int64) out.mutable_data<std::int64_t>()[i] = static_cast<std::int64_t>(v);
      if (c.to == DType::int32) {
        check(std::abs(v) <= std::numeric_limits<std::int32_t>::max(), "Cast: {} does not fit int32", v);
        out.mutable_data<std::int32_t>()[i] = static_cast<std::int32_t>(v);
      }
    }
    return out;
  }
  Tensor operator()(const Slice&) const {
    const Tensor& x = tensor(0);
    const auto starts = integers(tensor(1), "Slice");
    const auto ends = integers(tensor(2), "Slice");
    std::vector<std::int64_t> axes(starts.size());
    for (std::size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<std::int64_t>(i);
    if (has(3)) axes = integers(tensor(3), "Slice");
    std::vector<std::int64_t> steps(starts.size(), 1);
    if (has(4)) steps = integers(tensor(4), "Slice");
    check(starts.size() == ends.size() && starts.size() == axes.size() && starts.size() == steps.size(),
          "Slice: {} starts, {} ends, {} axes and {} steps", starts.size(), ends.size(), axes.size(),
          steps.size());
    Shape out = x.sizes();
    Shape first = Shape::filled(x.dim(), 0);
    Shape step = Shape::filled(x.dim(), 1);
    for (std::size_t i = 0; i < starts.size(); ++i) {
      const std::int64_t axis = axes[i] < 0 ? axes[i] + x.dim() : axes[i];
      check(axis >= 0 && axis < x.dim(), "Slice: axis {} is out of range", axes[i]);
      const int d = static_cast<int>(axis);
      const std::int64_t size = x.size(d);
      check(steps[i] != 0 && steps[i] > -(std::int64_t{1} << 31) && steps[i] < (std::int64_t{1} << 31),
            "Slice: a step of {} is not possible", steps[i]);
      const auto from_end = [&](std::int64_t v) { return v < 0 ? std::max(v, -size - 1) + size : v; };
      const bool forward = steps[i] > 0;
      const std::int64_t begin =
          std::clamp<std::int64_t>(from_end(starts[i]), forward ? 0 : -1, forward ? size : size - 1);
      const std::int64_t end =
          std::clamp<std::int64_t>(from_end(ends[i]), forward ? 0 : -1, forward ? size : size - 1);
      const std::int64_t span = forward ? end - begin : begin - end;
      const std::int64_t stride = forward ? steps[i] : -steps[i];
      out[d] = span <= 0 ? 0 : (span + stride - 1) / stride;
      first[d] = begin;
      step[d] = steps[i];
    }
    spend(out, x.dtype());
    const Shape strides = dense_strides(x.sizes(), MemoryFormat::contiguous);
    return pick(x, out, [&](const Shape& index) {
      std::int64_t offset = 0;
      for (int d = 0; d < index.rank(); ++d) offset += (first[d] + index[d] * step[d]) * strides[d];
      return offset;
    });
  }
  Tensor operator()(const ConstantOfShape& c) const {
    spend(*sizes, c.value.dtype());
    return pick(c.value, *sizes, [](const Shape&) { return std::int64_t{0}; });
  }
};

}  // namespace

Tensor evaluate(const Node& node, std::span<const Fact> inputs, std::size_t& budget) {
  if (const auto* shape = std::get_if<ShapeOf>(&node.op)) {
    if (!inputs[0].sizes) return {};
    const Shape& x = *inputs[0].sizes;
    const auto limit = [&](int i) { return std::clamp(i < 0 ? i + x.rank() : i, 0, x.rank()); };
    std::vector<std::int64_t> sizes;
    for (int d = limit(shape->start); d < limit(shape->end); ++d) {
      if (x[d] < 0) return {};
      sizes.push_back(x[d]);
    }
    const Shape count{static_cast<std::int64_t>(sizes.size())};
    return Tensor::from_data(sizes, count);
  }
  if (inputs.empty()) return {};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    // Only Slice has optional inputs here.
    if (!inputs[i].tensor.defined() && !(std::holds_alternative<Slice>(node.op) && i >= 3)) return {};
  }
  const std::optional<Shape> sizes = infer(node, inputs).sizes;
  if (!sizes) return {};
  return std::visit(Evaluate{inputs, sizes, budget}, node.op);
}

}  // namespace qconv::graph

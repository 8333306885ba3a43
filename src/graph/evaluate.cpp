// Elements of results that are known before a network runs: sizes, and constants that are moved about.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "graph/infer.hpp"
#include "graph/slicing.hpp"
#include "support/check.hpp"

namespace qconv::graph {
namespace {

using Facts = std::span<const Fact>;

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

enum class Arithmetic { add, sub, mul, div, pow, min, max };

Arithmetic arithmetic_of(BinaryKind kind) {
  switch (kind) {
    case BinaryKind::sub:
      return Arithmetic::sub;
    case BinaryKind::mul:
      return Arithmetic::mul;
    case BinaryKind::div:
      return Arithmetic::div;
    case BinaryKind::pow:
      return Arithmetic::pow;
    case BinaryKind::min:
      return Arithmetic::min;
    case BinaryKind::max:
      return Arithmetic::max;
  }
  return Arithmetic::add;
}

float float_arithmetic(Arithmetic kind, float x, float y) {
  switch (kind) {
    case Arithmetic::add:
      return x + y;
    case Arithmetic::sub:
      return x - y;
    case Arithmetic::mul:
      return x * y;
    case Arithmetic::div:
      return x / y;
    case Arithmetic::pow:
      return std::pow(x, y);
    case Arithmetic::min:
      return std::min(x, y);
    case Arithmetic::max:
      return std::max(x, y);
  }
  return 0;
}

Tensor arithmetic(const Tensor& a, const Tensor& b, const Shape& sizes, Arithmetic kind) {
  check(a.dtype() == b.dtype(), "operands of dtype {} and {}", to_string(a.dtype()), to_string(b.dtype()));
  if (a.dtype() == DType::float32) {
    return binary<float>(a, b, sizes, [&](float x, float y) { return float_arithmetic(kind, x, y); });
  }
  check(a.dtype() == DType::int64, "arithmetic on {} is not supported", to_string(a.dtype()));
  return binary<std::int64_t>(a, b, sizes, [&](std::int64_t x, std::int64_t y) {
    std::int64_t r = 0;
    bool overflow = false;
    switch (kind) {
      case Arithmetic::add:
        overflow = __builtin_add_overflow(x, y, &r);
        break;
      case Arithmetic::sub:
        overflow = __builtin_sub_overflow(x, y, &r);
        break;
      case Arithmetic::mul:
        overflow = __builtin_mul_overflow(x, y, &r);
        break;
      case Arithmetic::div:
        check(y != 0, "division by zero in the arithmetic on sizes");
        overflow = y == -1 && x == std::numeric_limits<std::int64_t>::min();
        if (!overflow) r = x / y;
        break;
      case Arithmetic::pow:
        throw ValueError("Pow of integers is not supported");
      case Arithmetic::min:
        return std::min(x, y);
      case Arithmetic::max:
        return std::max(x, y);
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
    return arithmetic(tensor(0), tensor(1), *sizes, Arithmetic::add);
  }
  Tensor operator()(const Binary& b) const {
    spend(*sizes, tensor(0).dtype());
    return arithmetic(tensor(0), tensor(1), *sizes, arithmetic_of(b.kind));
  }
  Tensor operator()(const UnaryOp& u) const {
    const std::string_view name = to_string(u.function.kind);
    check(tensor(0).dtype() == DType::float32, "{}: expected float32, got {}", name,
          to_string(tensor(0).dtype()));
    spend(*sizes, tensor(0).dtype());
    Tensor out = tensor(0).clone(MemoryFormat::contiguous);
    float* v = out.mutable_data<float>();
    for (std::int64_t i = 0; i < out.numel(); ++i) v[i] = u.function(v[i]);
    return out;
  }
  Tensor operator()(const Expand&) const {
    spend(*sizes, tensor(0).dtype());
    const Shape strides = broadcast_strides(tensor(0).sizes(), sizes->rank());
    return pick(tensor(0), *sizes, [&](const Shape& index) { return offset_of(index, strides); });
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
    const std::optional<Slicing> known = slicing_of(in);
    if (!known) return {};  // the axes or steps are there, but not their elements
    const Slicing& s = *known;
    spend(s.sizes, tensor(0).dtype());
    const Shape strides = dense_strides(tensor(0).sizes(), MemoryFormat::contiguous);
    return pick(tensor(0), s.sizes, [&](const Shape& index) {
      std::int64_t offset = 0;
      for (int d = 0; d < index.rank(); ++d) offset += (s.first[d] + index[d] * s.step[d]) * strides[d];
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
  std::vector<Fact> facts(inputs.begin(), inputs.end());
  for (Fact& fact : facts) fact.tensor = fact.elements();
  return std::visit(Evaluate{facts, sizes, budget}, node.op);
}

}  // namespace qconv::graph

// Sizes of results, node by node. Every size may be kDynamic.
#include "graph/infer.hpp"

#include <algorithm>

#include "graph/slicing.hpp"
#include "graph/windows.hpp"
#include "support/check.hpp"

namespace qconv::graph {
namespace {

using Facts = std::span<const Fact>;

const Fact& at(Facts inputs, std::size_t i) {
  static const Fact nothing;
  return i < inputs.size() ? inputs[i] : nothing;
}

int wrap_axis(std::int64_t axis, int rank, std::string_view who) {
  const std::int64_t wrapped = axis < 0 ? axis + rank : axis;
  check(wrapped >= 0 && wrapped < rank, "{}: axis {} is out of range for {} dimensions", who, axis, rank);
  return static_cast<int>(wrapped);
}

// The product of sizes [first, last), kDynamic if one of them is.
std::int64_t product(const Shape& sizes, int first, int last) {
  Shape part;
  for (int d = first; d < last; ++d) {
    if (sizes[d] < 0) return kDynamic;
    part.push_back(sizes[d]);
  }
  return part.numel();
}

// a and b are the sizes of one dimension that must agree.
std::int64_t merge(std::int64_t a, std::int64_t b, std::string_view who, const Shape& first,
                   const Shape& second) {
  check(a == b || a < 0 || b < 0, "{}: sizes {} and {} do not fit together", who, first.to_string(),
        second.to_string());
  return a < 0 ? b : a;
}

Shape broadcast(const Shape& a, const Shape& b, std::string_view who) {
  const int rank = std::max(a.rank(), b.rank());
  Shape out = Shape::filled(rank, 1);
  for (int d = 0; d < rank; ++d) {
    const int from_a = d - (rank - a.rank());
    const int from_b = d - (rank - b.rank());
    const std::int64_t x = from_a < 0 ? 1 : a[from_a];
    const std::int64_t y = from_b < 0 ? 1 : b[from_b];
    out[d] = x == 1 ? y : y == 1 ? x : merge(x, y, who, a, b);
  }
  return out;
}

struct Infer {
  Facts in;

  const std::optional<Shape>& x() const { return at(in, 0).sizes; }
  DType dtype() const { return at(in, 0).dtype; }
  Fact like(const std::optional<Shape>& sizes) const { return {dtype(), sizes, {}}; }
  Fact same() const { return like(x()); }

  // A window slid over an input: all but the channels.
  template <class Sizes>
  Fact slide(const ConvGeometry& g, AutoPad auto_pad, const std::vector<std::int64_t>& output_shape,
             std::int64_t channels, std::string_view who, const Sizes& sizes_of) const {
    Shape out = Shape::filled(g.ndim + 2, kDynamic);
    out[1] = channels;
    if (!x()) return like(out);
    const Spatial input = spatial_of(*x(), g.ndim, who);
    out[0] = (*x())[0];
    const auto resolved = resolve_padding(g, auto_pad, output_shape, input);
    if (!resolved) return like(out);
    const Spatial spatial = sizes_of(*resolved, input);
    for (int d = 0; d < g.ndim; ++d) {
      const auto s = static_cast<std::size_t>(3 - g.ndim + d);
      if (input[s] < 0) continue;
      out[2 + d] = spatial[s];
      check(out[2 + d] >= 1 || out[0] == 0, "{}: an input of sizes {} is too small for the window", who,
            x()->to_string());
    }
    return like(out);
  }

  Fact operator()(const Conv& c) const {
    if (x() && x()->rank() == c.geometry.ndim + 2) {
      const std::int64_t channels = (*x())[1];
      check(channels < 0 || channels == c.geometry.in_channels,
            "the weight expects {} input channels, the input has sizes {}", c.geometry.in_channels,
            x()->to_string());
    }
    return slide(c.geometry, c.auto_pad, c.output_shape, c.geometry.out_channels, c.geometry.name(),
                 [](const ConvGeometry& g, const Spatial& input) { return g.output_spatial(input); });
  }
  Fact operator()(const Pool& p) const {
    return slide(
        p.window, p.auto_pad, {}, x() && x()->rank() > 1 ? (*x())[1] : kDynamic, "pooling",
        [&](const ConvGeometry& g, const Spatial& input) { return pooled_spatial(g, input, p.ceil_mode); });
  }
  Fact operator()(const Linear&) const {
    const Shape& weight = *at(in, 1).sizes;
    if (!x()) return same();
    Shape out = *x();
    const int last = out.rank() - 1;
    check(last >= 1 && (out[last] < 0 || out[last] == weight[1]),
          "expected an input of sizes (N, ..., {}), got {}", weight[1], out.to_string());
    out[last] = weight[0];
    return like(out);
  }
  Fact operator()(const BatchNorm&) const {
    const std::int64_t channels = at(in, 1).tensor.numel();
    check(!x() || (x()->rank() >= 2 && ((*x())[1] < 0 || (*x())[1] == channels)),
          "expected an input with {} channels, got sizes {}", channels, x() ? x()->to_string() : "");
    return same();
  }
  Fact operator()(const Clip&) const { return same(); }
  Fact operator()(const Softmax&) const { return same(); }
  Fact operator()(const Quantize&) const { return {DType::quint8, x(), {}}; }
  Fact operator()(const Dequantize&) const { return {DType::float32, x(), {}}; }
  Fact operator()(const Add&) const {
    const auto& a = at(in, 0).sizes;
    const auto& b = at(in, 1).sizes;
    check(at(in, 0).dtype == at(in, 1).dtype, "operands of dtype {} and {}", to_string(at(in, 0).dtype),
          to_string(at(in, 1).dtype));
    return like(a && b ? std::optional(broadcast(*a, *b, "Add")) : std::nullopt);
  }
  Fact operator()(const Binary&) const { return (*this)(Add{}); }
  Fact operator()(const UnaryOp&) const { return same(); }
  Fact operator()(const LayerNorm& l) const {
    if (!x()) return same();
    const int axis = wrap_axis(l.axis, x()->rank(), "LayerNormalization");
    const std::int64_t count = at(in, 1).tensor.numel();
    check((*x())[axis] < 0 || (*x())[axis] == count,
          "LayerNormalization: a scale of {} elements over axis {} of sizes {}", count, axis,
          x()->to_string());
    return same();
  }
  Fact operator()(const InstanceNorm&) const {
    const std::int64_t channels = at(in, 1).tensor.numel();
    check(!x() || (x()->rank() >= 3 && ((*x())[1] < 0 || (*x())[1] == channels)),
          "expected an input (N, {}, spatial...), got sizes {}", channels, x() ? x()->to_string() : "");
    return same();
  }
  Fact operator()(const Mean& m) const {
    if (!x()) return same();
    std::vector<bool> reduced(static_cast<std::size_t>(x()->rank()), m.axes.empty());
    for (const std::int64_t a : m.axes) {
      const auto axis = static_cast<std::size_t>(wrap_axis(a, x()->rank(), "ReduceMean"));
      check(!reduced[axis], "ReduceMean: axis {} twice", a);
      reduced[axis] = true;
    }
    Shape out;
    for (int d = 0; d < x()->rank(); ++d) {
      const bool gone = reduced[static_cast<std::size_t>(d)];
      if (m.keep_dims || !gone) out.push_back(gone ? 1 : (*x())[d]);
    }
    return like(out);
  }
  Fact operator()(const Expand&) const {
    const Fact& wanted = at(in, 1);
    if (!x() || !wanted.tensor.defined()) return like(std::nullopt);
    check(wanted.tensor.dtype() == DType::int64, "Expand: the shape must be int64");
    const Shape shape(wanted.tensor.to_vector<std::int64_t>());
    for (const std::int64_t s : shape) check(s >= 0, "Expand: a size of {} is not possible", s);
    return like(broadcast(*x(), shape, "Expand"));
  }
  Fact operator()(const GlobalAveragePool&) const {
    if (!x()) return same();
    check(x()->rank() >= 3, "expected an input (N, C, spatial...), got sizes {}", x()->to_string());
    Shape out = Shape::filled(x()->rank(), 1);
    out[0] = (*x())[0];
    out[1] = (*x())[1];
    return like(out);
  }
  Fact operator()(const Flatten& f) const {
    if (!x()) return like(Shape{kDynamic, kDynamic});
    const int rank = x()->rank();
    const int axis = f.axis == rank ? rank : wrap_axis(f.axis, std::max(rank, 1), "Flatten");
    return like(Shape{product(*x(), 0, axis), product(*x(), axis, rank)});
  }
  Fact operator()(const Reshape& r) const {
    const Fact& wanted = at(in, 1);
    if (!wanted.tensor.defined()) {
      if (wanted.sizes && wanted.sizes->rank() == 1 && (*wanted.sizes)[0] >= 0) {
        check((*wanted.sizes)[0] <= kMaxRank, "Reshape to {} dimensions; at most {} are supported",
              (*wanted.sizes)[0], kMaxRank);
        return like(Shape::filled(static_cast<int>((*wanted.sizes)[0]), kDynamic));
      }
      return like(std::nullopt);
    }
    check(wanted.tensor.dtype() == DType::int64, "Reshape: the shape must be int64, got {}",
          to_string(wanted.tensor.dtype()));
    Shape out(wanted.tensor.to_vector<std::int64_t>());
    int rest = -1;
    for (int d = 0; d < out.rank(); ++d) {
      if (out[d] == 0 && !r.allow_zero) {
        check(!x() || d < x()->rank(), "Reshape: a 0 at position {} copies a size that {} does not have", d,
              x() ? x()->to_string() : "");
        out[d] = x() ? (*x())[d] : kDynamic;
        // A copied dynamic size must not look like the -1 that takes the remainder.
        if (out[d] < 0) out[d] = kDynamic - 1;
      } else if (out[d] == -1) {
        check(rest < 0, "Reshape: only one size may be -1, got {}", out.to_string());
        rest = d;
      } else {
        check(out[d] >= 0, "Reshape: a size of {} is not possible", out[d]);
      }
    }
    std::int64_t known = 1;
    bool dynamic = !x();
    for (int d = 0; d < out.rank(); ++d) {
      if (d == rest) continue;
      if (out[d] < 0) {
        out[d] = kDynamic;
        dynamic = true;
        continue;
      }
      check(!__builtin_mul_overflow(known, out[d], &known), "Reshape: sizes {} are too large",
            out.to_string());
    }
    const std::int64_t total = dynamic ? kDynamic : product(*x(), 0, x()->rank());
    if (total < 0) return like(out);
    if (rest >= 0) {
      check(known > 0 && total % known == 0, "Reshape: sizes {} cannot become {}", x()->to_string(),
            out.to_string());
      out[rest] = total / known;
    } else {
      check(known == total, "Reshape: sizes {} cannot become {}", x()->to_string(), out.to_string());
    }
    return like(out);
  }
  Fact operator()(const Pad& p) const {
    if (!x()) return same();
    check(static_cast<std::size_t>(x()->rank()) == p.begin.size(),
          "Pad: pads for {} dimensions, the input has sizes {}", p.begin.size(), x()->to_string());
    Shape out = *x();
    for (int d = 0; d < out.rank(); ++d) {
      if (out[d] < 0) continue;
      const std::int64_t begin = p.begin[static_cast<std::size_t>(d)];
      const std::int64_t end = p.end[static_cast<std::size_t>(d)];
      check(p.mode == PaddingMode::zeros || p.mode == PaddingMode::replicate ||
                (std::max(begin, end) < out[d] + (p.mode == PaddingMode::circular ? 1 : 0)),
            "Pad: {} padding of {} and {} needs a larger input than {}", to_string(p.mode), begin, end,
            x()->to_string());
      out[d] += begin + end;
      check(out[d] >= 0, "Pad: nothing is left of sizes {}", x()->to_string());
    }
    return like(out);
  }
  Fact operator()(const Concat& c) const {
    std::optional<Shape> out;
    for (const Fact& f : in) {
      if (!f.sizes) return like(std::nullopt);
      if (!out) {
        out = f.sizes;
        continue;
      }
      check(f.sizes->rank() == out->rank(), "Concat: sizes {} and {} do not fit together", out->to_string(),
            f.sizes->to_string());
      const int axis = wrap_axis(c.axis, out->rank(), "Concat");
      for (int d = 0; d < out->rank(); ++d) {
        const std::int64_t other = (*f.sizes)[d];
        if (d == axis) {
          (*out)[d] = (*out)[d] < 0 || other < 0 ? kDynamic : (*out)[d] + other;
        } else {
          (*out)[d] = merge((*out)[d], other, "Concat", *out, *f.sizes);
        }
      }
    }
    if (out) wrap_axis(c.axis, out->rank(), "Concat");
    return like(out);
  }
  Fact operator()(const Transpose& t) const {
    if (!x()) return same();
    Shape out;
    const auto rank = static_cast<std::size_t>(x()->rank());
    check(t.permutation.empty() || t.permutation.size() == rank, "Transpose: {} axes for sizes {}",
          t.permutation.size(), x()->to_string());
    for (std::size_t d = 0; d < rank; ++d) {
      out.push_back((*x())[t.permutation.empty() ? static_cast<int>(rank - 1 - d)
                                                 : wrap_axis(t.permutation[d], x()->rank(), "Transpose")]);
    }
    return like(out);
  }
  Fact operator()(const Resize& r) const {
    const Fact& wanted = at(in, 1);
    std::optional<Shape> out;
    if (wanted.tensor.defined()) {
      check(wanted.tensor.dtype() == DType::int64, "Resize: the sizes must be int64");
      out = Shape(wanted.tensor.to_vector<std::int64_t>());
      check(!x() || x()->rank() == out->rank(), "Resize: sizes for {} dimensions, the input has sizes {}",
            out->rank(), x() ? x()->to_string() : "");
      for (const std::int64_t s : *out) check(s >= 0, "Resize: a size of {} is not possible", s);
    } else if (x() && !r.scales.empty()) {
      check(r.scales.size() == static_cast<std::size_t>(x()->rank()),
            "Resize: {} scales, the input has sizes {}", r.scales.size(), x()->to_string());
      out = scaled_sizes(*x(), r.scales);
    } else if (x()) {
      out = Shape::filled(x()->rank(), kDynamic);
    }
    if (!x() || !out) return like(out);
    check(x()->rank() >= 3 && x()->rank() <= 5, "Resize: expected an input (N, C, spatial...), got sizes {}",
          x()->to_string());
    for (int d = 0; d < 2; ++d)
      (*out)[d] = merge((*x())[d], (*out)[d], "Resize of batch or channels", *x(), *out);
    return like(out);
  }
  Fact operator()(const ShapeOf& s) const {
    if (!x()) return {DType::int64, Shape{kDynamic}, {}};
    const auto limit = [&](int i) { return std::clamp(i < 0 ? i + x()->rank() : i, 0, x()->rank()); };
    return {DType::int64, Shape{std::max(limit(s.end) - limit(s.start), 0)}, {}};
  }
  Fact operator()(const Gather& g) const {
    const auto& indices = at(in, 1).sizes;
    if (!x() || !indices) return like(std::nullopt);
    const int axis = wrap_axis(g.axis, x()->rank(), "Gather");
    const std::int64_t size = (*x())[axis];
    if (at(in, 1).tensor.defined() && size >= 0) {
      for (const std::int64_t i : integers(at(in, 1).tensor, "Gather"))
        check(i >= -size && i < size, "Gather: index {} is out of range for a size of {}", i, size);
    }
    Shape out;
    for (int d = 0; d < axis; ++d) out.push_back((*x())[d]);
    for (const std::int64_t s : *indices) out.push_back(s);
    for (int d = axis + 1; d < x()->rank(); ++d) out.push_back((*x())[d]);
    return like(out);
  }
  Fact operator()(const Unsqueeze& u) const {
    if (!x()) return same();
    const int rank = x()->rank() + static_cast<int>(u.axes.size());
    check(rank <= kMaxRank, "Unsqueeze: {} dimensions; at most {} are supported", rank, kMaxRank);
    std::vector<bool> added(static_cast<std::size_t>(rank));
    for (const std::int64_t a : u.axes) {
      const auto axis = static_cast<std::size_t>(wrap_axis(a, rank, "Unsqueeze"));
      check(!added[axis], "Unsqueeze: axis {} twice", a);
      added[axis] = true;
    }
    Shape out;
    int next = 0;
    for (int d = 0; d < rank; ++d) out.push_back(added[static_cast<std::size_t>(d)] ? 1 : (*x())[next++]);
    return like(out);
  }
  Fact operator()(const Squeeze& s) const {
    if (!x()) return same();
    std::vector<bool> removed(static_cast<std::size_t>(x()->rank()));
    for (const std::int64_t a : s.axes) {
      const int axis = wrap_axis(a, x()->rank(), "Squeeze");
      check((*x())[axis] == 1 || (*x())[axis] < 0, "Squeeze: axis {} of sizes {} is not 1", a,
            x()->to_string());
      removed[static_cast<std::size_t>(axis)] = true;
    }
    Shape out;
    for (int d = 0; d < x()->rank(); ++d) {
      const bool drop =
          s.axes.empty() ? (*x())[d] == 1 : static_cast<bool>(removed[static_cast<std::size_t>(d)]);
      if (!drop) out.push_back((*x())[d]);
    }
    return like(out);
  }
  Fact operator()(const Cast& c) const { return {c.to, x(), {}}; }
  Fact operator()(const Slice&) const {
    if (!x()) return same();
    const std::optional<Slicing> slicing = slicing_of(in);
    return like(slicing ? slicing->sizes : Shape::filled(x()->rank(), kDynamic));
  }
  Fact operator()(const ConstantOfShape& c) const {
    const Tensor& shape = at(in, 0).tensor;
    if (!shape.defined()) return {c.value.dtype(), std::nullopt, {}};
    check(shape.dtype() == DType::int64, "ConstantOfShape: the shape must be int64");
    return {c.value.dtype(), Shape(shape.to_vector<std::int64_t>()), {}};
  }
};

}  // namespace

Fact infer(const Node& node, std::span<const Fact> inputs) {
  Fact result = std::visit(Infer{inputs}, node.op);
  if (result.sizes) {
    // Also what keeps the arithmetic above inside int64.
    for (const std::int64_t s : *result.sizes) {
      check(s <= std::numeric_limits<std::int32_t>::max(), "a result of sizes {} is too large",
            result.sizes->to_string());
    }
  }
  return result;
}

std::vector<Fact> facts_of(const Graph& graph, const Node& node) {
  std::vector<Fact> facts(node.inputs.size());
  for (std::size_t i = 0; i < facts.size(); ++i) {
    if (node.inputs[i] == kNoValue) continue;
    const Value& v = graph.value(node.inputs[i]);
    facts[i] = {v.dtype, v.sizes, v.constant};
  }
  return facts;
}

}  // namespace qconv::graph

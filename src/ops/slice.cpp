// Parts of tensors, and tensors repeated.
#include <algorithm>
#include <memory>
#include <vector>

#include <qconv/functional.hpp>

#include "ops/args.hpp"
#include "support/check.hpp"
#include "tensor/dense_format.hpp"

namespace qconv::functional {
namespace {

// A view of the elements at `offset` with these strides; it shares the memory of `x`.
Tensor view_of(const Tensor& x, std::int64_t offset, const Shape& sizes, const Shape& strides) {
  auto owner = std::make_shared<Tensor>(x);
  auto* start = static_cast<std::byte*>(owner->raw_mutable_data()) +
                static_cast<std::ptrdiff_t>(offset) * static_cast<std::ptrdiff_t>(element_size(x.dtype()));
  return Tensor::from_blob(start, sizes, strides, x.dtype(), owner,
                           x.is_quantized() ? std::optional(x.qparams()) : std::nullopt);
}

Tensor copied(const Tensor& view, const Tensor& like, MemoryFormat format) {
  Tensor y = ops::empty_like(like, view.sizes(), format);
  y.copy_(view);
  return y;
}

}  // namespace

Tensor slice(const Tensor& input, const Shape& first, const Shape& step, const Shape& sizes) {
  check(input.defined(), "slice: the input is undefined");
  check(first.rank() == input.dim() && step.rank() == input.dim() && sizes.rank() == input.dim(),
        "slice: {}, {} and {} do not fit an input of sizes {}", first, step, sizes, input.sizes());
  Shape strides = input.strides();
  std::int64_t offset = 0;
  bool empty = false;
  for (int d = 0; d < input.dim(); ++d) {
    check(step[d] != 0, "slice: the step of dimension {} is 0", d);
    empty = empty || sizes[d] == 0;
    std::int64_t last = 0;
    const bool overflow =
        __builtin_mul_overflow(sizes[d] - 1, step[d], &last) || __builtin_add_overflow(first[d], last, &last);
    check(sizes[d] == 0 || (sizes[d] > 0 && !overflow && std::min(first[d], last) >= 0 &&
                            std::max(first[d], last) < input.size(d)),
          "slice: {} elements from {} on in steps of {}, of a dimension of {}", sizes[d], first[d], step[d],
          input.size(d));
    if (sizes[d] == 0) continue;
    offset += first[d] * strides[d];
    // Of one element there is no next.
    if (sizes[d] > 1) strides[d] *= step[d];
  }
  const MemoryFormat format = dense_format(input);
  if (empty) return ops::empty_like(input, sizes, format);
  const bool forward = std::all_of(step.begin(), step.end(), [](auto s) { return s > 0; });
  if (forward) return copied(view_of(input, offset, sizes, strides), input, format);
  // Views have no negative strides: one slice after the other along the dimensions that run backwards.
  Tensor x = input;
  for (int d = 0; d < input.dim(); ++d) {
    std::vector<std::int64_t> index(static_cast<std::size_t>(sizes[d]));
    for (std::size_t i = 0; i < index.size(); ++i)
      index[i] = first[d] + static_cast<std::int64_t>(i) * step[d];
    x = index_select(x, d, index);
  }
  return x;
}

Tensor index_select(const Tensor& input, int dim, std::span<const std::int64_t> index) {
  check(input.defined(), "index_select: the input is undefined");
  check(dim >= 0 && dim < input.dim(), "index_select: dimension {} is out of range for sizes {}", dim,
        input.sizes());
  Shape sizes = input.sizes();
  sizes[dim] = static_cast<std::int64_t>(index.size());
  Tensor y = ops::empty_like(input, sizes, dense_format(input));
  for (std::size_t i = 0; i < index.size(); ++i) {
    const std::int64_t wrapped = index[i] < 0 ? index[i] + input.size(dim) : index[i];
    check(wrapped >= 0 && wrapped < input.size(dim),
          "index_select: index {} is out of range for a size of {}", index[i], input.size(dim));
    y.narrow(dim, static_cast<std::int64_t>(i), 1).copy_(input.narrow(dim, wrapped, 1));
  }
  return y;
}

Tensor expand(const Tensor& input, const Shape& sizes) {
  check(input.defined(), "expand: the input is undefined");
  const int lead = sizes.rank() - input.dim();
  check(lead >= 0, "expand: sizes {} have fewer dimensions than {}", sizes, input.sizes());
  Shape strides = Shape::filled(sizes.rank(), 0);
  for (int d = 0; d < input.dim(); ++d) {
    check(input.size(d) == sizes[lead + d] || input.size(d) == 1, "expand: sizes {} cannot be repeated to {}",
          input.sizes(), sizes);
    strides[lead + d] = input.size(d) == 1 ? 0 : input.strides()[d];
  }
  return copied(view_of(input, 0, sizes, strides), input, ops::natural_format(sizes.rank()));
}

}  // namespace qconv::functional

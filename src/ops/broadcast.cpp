#include "ops/broadcast.hpp"

#include <algorithm>

#include "support/check.hpp"
#include "tensor/dense_format.hpp"

namespace qconv::ops {
namespace {

// Strides with which dense `x` is read for a result of `rank` dimensions: 0 where it is repeated.
Shape expanded_strides(const Tensor& x, int rank) {
  Shape strides = Shape::filled(rank, 0);
  for (int d = 0; d < x.dim(); ++d) {
    if (x.sizes()[d] != 1) strides[d + rank - x.dim()] = x.strides()[d];
  }
  return strides;
}

}  // namespace

Shape broadcast_sizes(std::string_view who, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape result = Shape::filled(rank, 1);
  for (int d = 0; d < rank; ++d) {
    const int da = d - (rank - a.rank());
    const int db = d - (rank - b.rank());
    const std::int64_t sa = da < 0 ? 1 : a[da];
    const std::int64_t sb = db < 0 ? 1 : b[db];
    check(sa == sb || sa == 1 || sb == 1, "{}: sizes {} and {} cannot be broadcast to each other", who, a, b);
    result[d] = sa == 1 ? sb : sa;
  }
  return result;
}

Broadcast::Broadcast(std::string_view who, const Tensor& a, const Tensor& b)
    : sizes_(broadcast_sizes(who, a.sizes(), b.sizes())),
      format_(a.sizes() == sizes_   ? dense_format(a)
              : b.sizes() == sizes_ ? dense_format(b)
                                    : MemoryFormat::contiguous) {
  const int rank = sizes_.rank();
  // An operand of fewer dimensions has no format of its own; the others follow the result's.
  const auto dense = [&](const Tensor& x) {
    return x.contiguous(x.dim() == rank ? format_ : MemoryFormat::contiguous);
  };
  a_ = dense(a);
  b_ = dense(b);
  const Shape result_strides = dense_strides(sizes_, format_);
  const Shape a_strides = expanded_strides(a_, rank);
  const Shape b_strides = expanded_strides(b_, rank);
  std::vector<int> order;  // of the dimensions in memory, innermost first
  for (int d = rank - 1; d >= 0; --d) {
    if (sizes_[d] != 1) order.push_back(d);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int x, int y) { return result_strides[x] < result_strides[y]; });
  std::vector<Outer> dims;
  for (const int d : order) {
    const Outer next{sizes_[d], a_strides[d], b_strides[d]};
    // Two dimensions are one where both operands go through them as through one.
    if (!dims.empty() && next.a_stride == dims.back().a_stride * dims.back().size &&
        next.b_stride == dims.back().b_stride * dims.back().size) {
      dims.back().size *= next.size;
    } else {
      dims.push_back(next);
    }
  }
  if (!dims.empty() && dims[0].a_stride <= 1 && dims[0].b_stride <= 1) {
    length_ = dims[0].size;
    a_step_ = dims[0].a_stride;
    b_step_ = dims[0].b_stride;
    dims.erase(dims.begin());
  }
  outer_ = std::move(dims);
  for (const Outer& o : outer_) rows_ *= o.size;
}

}  // namespace qconv::ops

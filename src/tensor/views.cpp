// The view methods of Tensor: new sizes, strides and quantization axis over the same memory.
#include <array>

#include <qconv/tensor.hpp>

#include "support/check.hpp"

namespace qconv {
namespace {

// Strides of `sizes` over the memory of (old_sizes, old_strides), or false when no such strides exist: each
// group of old dimensions that lies densely can be cut anew.
bool view_strides(const Shape& old_sizes, const Shape& old_strides, const Shape& sizes, Shape& strides) {
  strides = Shape::filled(sizes.rank(), 1);
  if (old_sizes.numel() == 0) {
    strides = dense_strides(sizes, MemoryFormat::contiguous);
    return true;
  }
  int next = sizes.rank() - 1;
  std::int64_t group = 1;    // elements of the old dense group so far
  std::int64_t covered = 1;  // elements of new dimensions placed in this group
  std::int64_t base = old_sizes.empty() ? 1 : old_strides[old_sizes.rank() - 1];
  for (int d = old_sizes.rank() - 1; d >= 0; --d) {
    group *= old_sizes[d];
    const bool group_ends = d == 0 || (old_sizes[d - 1] != 1 && old_strides[d - 1] != group * base);
    if (!group_ends) continue;
    while (next >= 0 && (covered < group || sizes[next] == 1)) {
      strides[next] = covered * base;
      covered *= sizes[next--];
    }
    if (covered != group) return false;
    if (d > 0) base = old_strides[d - 1];
    group = covered = 1;
  }
  while (next >= 0 && sizes[next] == 1) strides[next--] = base;
  return next < 0;
}

// The dimension of `sizes` that holds the same indices as dimension `axis` of `old_sizes`, or -1.
int moved_axis(const Shape& old_sizes, int axis, const Shape& sizes) {
  std::int64_t before = 1;
  for (int d = 0; d < axis; ++d) before *= old_sizes[d];
  std::int64_t product = 1;
  for (int d = 0; d < sizes.rank(); ++d) {
    if (product == before && sizes[d] == old_sizes[axis]) return d;
    product *= sizes[d];
  }
  return -1;
}

}  // namespace

Tensor Tensor::with_geometry(const Shape& sizes, const Shape& strides, std::int64_t offset) const {
  Tensor result = *this;
  result.sizes_ = sizes;
  result.strides_ = strides;
  result.numel_ = sizes.numel();
  if (result.numel_ > 0) {
    result.data_ = static_cast<char*>(data_) + offset * static_cast<std::int64_t>(element_size(dtype_));
  }
  return result;
}

namespace {

// Replaces a -1 by what is left of `numel`.
Shape complete_sizes(const Shape& sizes, std::int64_t numel, const Shape& old) {
  Shape complete = sizes;
  int unknown = -1;
  for (int d = 0; d < complete.rank(); ++d) {
    if (complete[d] != -1) continue;
    check(unknown < 0, "view: only one size can be -1, got {}", sizes);
    unknown = d;
    complete[d] = 1;
  }
  const std::int64_t known = complete.numel();
  if (unknown >= 0) {
    check(known > 0 && numel % known == 0, "view: a tensor of sizes {} cannot be seen as {}", old, sizes);
    complete[unknown] = numel / known;
  }
  check(complete.numel() == numel, "view: a tensor of sizes {} ({} elements) cannot be seen as {}", old,
        numel, sizes);
  return complete;
}

}  // namespace

Tensor Tensor::view(const Shape& sizes) const {
  const Shape complete = complete_sizes(sizes, numel_, sizes_);
  Shape strides;
  check(view_strides(sizes_, strides_, complete, strides),
        "view: sizes {} with strides {} cannot be seen as {} without a copy; use reshape", sizes_, strides_,
        complete);
  Tensor result = with_geometry(complete, strides, 0);
  if (qparams_ && qparams_->is_per_channel()) {
    const int axis = moved_axis(sizes_, qparams_->axis, complete);
    check(axis >= 0, "view: sizes {} keep no dimension for the per-channel parameters on dimension {} of {}",
          complete, qparams_->axis, sizes_);
    QParams q = *qparams_;
    q.axis = axis;
    result.qparams_ = std::make_shared<const QParams>(std::move(q));
  }
  return result;
}

Tensor Tensor::reshape(const Shape& sizes) const {
  const Shape complete = complete_sizes(sizes, numel_, sizes_);
  Shape strides;
  return view_strides(sizes_, strides_, complete, strides) ? view(complete) : clone().view(complete);
}

Tensor Tensor::flatten(int start_dim, int end_dim) const {
  if (dim() == 0) return view({1});
  const int first = wrap_dim(start_dim, "flatten");
  const int last = wrap_dim(end_dim, "flatten");
  check(first <= last, "flatten: start_dim {} comes after end_dim {}", start_dim, end_dim);
  Shape sizes;
  std::int64_t merged = 1;
  for (int d = 0; d < dim(); ++d) {
    if (d >= first && d <= last) merged *= sizes_[d];
    if (d < first || d > last) sizes.push_back(sizes_[d]);
    if (d == last) sizes.push_back(merged);
  }
  return reshape(sizes);
}

Tensor Tensor::permute(const Shape& dims) const {
  check(dims.rank() == dim(), "permute: got {} dimensions for a tensor of sizes {}", dims.rank(), sizes_);
  Shape sizes = sizes_;
  Shape strides = strides_;
  std::array<bool, kMaxRank> seen{};
  int axis = -1;
  for (int d = 0; d < dim(); ++d) {
    const int from = wrap_dim(static_cast<int>(dims[d]), "permute");
    check(!seen[static_cast<std::size_t>(from)], "permute: dimension {} is named twice in {}", from, dims);
    seen[static_cast<std::size_t>(from)] = true;
    sizes[d] = sizes_[from];
    strides[d] = strides_[from];
    if (qparams_ && qparams_->axis == from) axis = d;
  }
  Tensor result = with_geometry(sizes, strides, 0);
  if (axis >= 0) {
    QParams q = *qparams_;
    q.axis = axis;
    result.qparams_ = std::make_shared<const QParams>(std::move(q));
  }
  return result;
}

Tensor Tensor::transpose(int dim0, int dim1) const {
  Shape dims = sizes_;
  for (int d = 0; d < dim(); ++d) dims[d] = d;
  std::swap(dims[wrap_dim(dim0, "transpose")], dims[wrap_dim(dim1, "transpose")]);
  return permute(dims);
}

Tensor Tensor::unsqueeze(int dim) const {
  const int rank = this->dim();
  check(dim >= -rank - 1 && dim <= rank, "unsqueeze: dimension {} is out of range for sizes {}", dim, sizes_);
  const int at = dim < 0 ? dim + rank + 1 : dim;
  Shape sizes;
  Shape strides;
  for (int d = 0; d <= rank; ++d) {
    if (d == at) {
      sizes.push_back(1);
      strides.push_back(d < rank ? sizes_[d] * strides_[d] : 1);
    }
    if (d < rank) {
      sizes.push_back(sizes_[d]);
      strides.push_back(strides_[d]);
    }
  }
  Tensor result = with_geometry(sizes, strides, 0);
  if (qparams_ && qparams_->axis >= at) {
    QParams q = *qparams_;
    ++q.axis;
    result.qparams_ = std::make_shared<const QParams>(std::move(q));
  }
  return result;
}

Tensor Tensor::squeeze(int dim) const {
  const int at = wrap_dim(dim, "squeeze");
  return sizes_[at] == 1 ? select(at, 0) : *this;
}

Tensor Tensor::narrow(int dim, std::int64_t start, std::int64_t length) const {
  const int at = wrap_dim(dim, "narrow");
  check(start >= 0 && length >= 0 && start <= sizes_[at] && length <= sizes_[at] - start,
        "narrow: elements [{}, {} + {}) are outside dimension {} of sizes {}", start, start, length, at,
        sizes_);
  Shape sizes = sizes_;
  sizes[at] = length;
  Tensor result = with_geometry(sizes, strides_, start * strides_[at]);
  if (qparams_ && qparams_->axis == at) {
    const QParams& q = *qparams_;
    result.qparams_ = std::make_shared<const QParams>(
        QParams::per_channel({q.scales.begin() + start, q.scales.begin() + start + length},
                             {q.zero_points.begin() + start, q.zero_points.begin() + start + length}, at));
  }
  return result;
}

Tensor Tensor::select(int dim, std::int64_t index) const {
  const int at = wrap_dim(dim, "select");
  check(index >= 0 && index < sizes_[at], "select: index {} is outside dimension {} of sizes {}", index, at,
        sizes_);
  Shape sizes;
  Shape strides;
  for (int d = 0; d < this->dim(); ++d) {
    if (d == at) continue;
    sizes.push_back(sizes_[d]);
    strides.push_back(strides_[d]);
  }
  Tensor result = with_geometry(sizes, strides, index * strides_[at]);
  if (qparams_ && qparams_->is_per_channel()) {
    QParams q = *qparams_;
    if (q.axis == at) {
      const auto i = static_cast<std::size_t>(index);
      q = QParams::per_tensor(q.scales[i], q.zero_points[i]);
    } else if (q.axis > at) {
      --q.axis;
    }
    result.qparams_ = std::make_shared<const QParams>(std::move(q));
  }
  return result;
}

}  // namespace qconv

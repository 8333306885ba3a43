// Concatenation. Pieces are copied into views of the result.
#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>

#include "ops/args.hpp"
#include "ops/byte_map.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

// The sizes of the result; checks that the tensors fit together.
Shape joined_sizes(std::string_view who, std::span<const Tensor> tensors, int dim) {
  Shape sizes = tensors[0].sizes();
  std::int64_t total = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& t = tensors[i];
    check<TypeError>(t.dtype() == tensors[0].dtype(), "{}: tensor {} is {}, but the first is {}", who, i,
                     to_string(t.dtype()), to_string(tensors[0].dtype()));
    bool fits = t.dim() == sizes.rank();
    for (int d = 0; fits && d < sizes.rank(); ++d) fits = d == dim || t.sizes()[d] == sizes[d];
    check(fits, "{}: tensor {} of sizes {} does not fit to sizes {} along dimension {}", who, i, t.sizes(),
          sizes, dim);
    check(!__builtin_add_overflow(total, t.sizes()[dim], &total), "{}: the result is too large", who);
  }
  sizes[dim] = total;
  return sizes;
}

void check_tensors(std::string_view who, std::span<const Tensor> tensors) {
  check(!tensors.empty(), "{}: expected at least one tensor", who);
  for (std::size_t i = 0; i < tensors.size(); ++i)
    check(tensors[i].defined(), "{}: tensor {} is undefined", who, i);
}

void copy_pieces(Tensor& result, std::span<const Tensor> tensors, int dim) {
  std::int64_t start = 0;
  for (const Tensor& t : tensors) {
    result.narrow(dim, start, t.sizes()[dim]).copy_(t);
    start += t.sizes()[dim];
  }
}

}  // namespace

namespace functional {

Tensor cat(std::span<const Tensor> tensors, int dim) {
  check_tensors("cat", tensors);
  const int at = ops::wrap_dim("cat", dim, tensors[0].dim());
  const Shape sizes = joined_sizes("cat", tensors, at);
  for (const Tensor& t : tensors) {
    if (!t.is_quantized()) continue;
    check<TypeError>(!t.qparams().is_per_channel(), "cat: tensors must be quantized per tensor, got {}",
                     t.to_string());
    check(t.qparams() == tensors[0].qparams(),
          "cat: quantized tensors must have the same parameters, got {} and {}; use ops::cat",
          tensors[0].to_string(), t.to_string());
  }
  Tensor result = ops::empty_like(tensors[0], sizes, ops::natural_format(sizes.rank()));
  copy_pieces(result, tensors, at);
  return result;
}

}  // namespace functional

namespace ops {
namespace {

Tensor cat_int8(std::string_view who, std::span<const Tensor> qxs, int dim, OutputScale scale,
                OutputZeroPoint zero_point, bool relu) {
  check_tensors(who, qxs);
  for (const Tensor& t : qxs) check_int8(who, t);
  const int at = wrap_dim(who, dim, qxs[0].dim());
  const Shape sizes = joined_sizes(who, qxs, at);
  const QParams qparams = output_qparams(who, qxs[0], scale, zero_point);
  Tensor result = Tensor::empty_quantized(sizes, qxs[0].dtype(), qparams, natural_format(sizes.rank()));
  const Affine out = affine_of(result);
  std::vector<Tensor> pieces(qxs.begin(), qxs.end());
  for (Tensor& piece : pieces) {
    if (piece.qparams() == qparams && !relu) continue;
    const Tensor dense = piece.contiguous(natural_format(piece.dim()));
    Tensor mapped = empty_like(result, dense.sizes(), natural_format(dense.dim()));
    // With equal parameters only the ReLU is left to do.
    const ByteMap map =
        piece.qparams() == qparams
            ? make_byte_map(piece.dtype(), [&](int q) { return std::max(q, out.zero_point); })
            : requantize_map(piece.dtype(), affine_of(piece), out, relu ? out.zero_point : out.lo);
    apply_byte_map(map, dense, mapped);
    piece = mapped;
  }
  copy_pieces(result, pieces, at);
  return result;
}

}  // namespace

Tensor cat(std::span<const Tensor> qxs, int dim, OutputScale output_scale,
           OutputZeroPoint output_zero_point) {
  return cat_int8("cat", qxs, dim, output_scale, output_zero_point, false);
}
Tensor cat_relu(std::span<const Tensor> qxs, int dim, OutputScale output_scale,
                OutputZeroPoint output_zero_point) {
  return cat_int8("cat_relu", qxs, dim, output_scale, output_zero_point, true);
}

}  // namespace ops
}  // namespace qconv

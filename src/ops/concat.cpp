// Concatenation. Pieces are copied into views of the result.
#include <array>
#include <cstring>
#include <optional>

#include <qconv/functional.hpp>
#include <qconv/network_ops.hpp>

#include "engines/native/kernels/rows/rows.hpp"
#include "ops/args.hpp"
#include "ops/byte_map.hpp"
#include "support/check.hpp"
#include "support/parallel_chunks.hpp"

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
    check<TypeError>(!t.qparams().is_per_channel(), "cat: tensors must be quantized per tensor, got {}", t);
    check(t.qparams() == tensors[0].qparams(),
          "cat: quantized tensors must have the same parameters, got {} and {}; use ops::cat", tensors[0], t);
  }
  Tensor result = ops::empty_like(tensors[0], sizes, ops::natural_format(sizes.rank()));
  copy_pieces(result, tensors, at);
  return result;
}

}  // namespace functional

namespace ops {
namespace {

// Bytes of a piece that are mapped before they are copied: they stay in the L1 cache.
constexpr std::int64_t kPieceBytes = 16384;

// Some bytes, mostly few.
void copy_row(std::uint8_t* to, const std::uint8_t* from, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16) std::memcpy(to + i, from + i, 16);
  for (; i < count; ++i) to[i] = from[i];
}

// Writes map[piece], where there is a map, to the channels from `start` on of a channels-last result.
void copy_channels(Tensor& result, const Tensor& piece, const std::optional<ByteMap>& map,
                   std::int64_t start) {
  const Tensor dense = piece.contiguous(natural_format(piece.dim()));
  const std::int64_t channels = piece.size(1);
  const std::int64_t stride = result.size(1);
  if (dense.numel() == 0) return;
  const auto* from = static_cast<const std::uint8_t*>(dense.raw_data());
  auto* to = static_cast<std::uint8_t*>(result.raw_mutable_data()) + start;
  const auto lookup = engines::rows::kernels(false).lookup;
  const std::int64_t width = std::min(channels, kPieceBytes);
  for (std::int64_t c = 0; c < channels; c += width) {
    const std::int64_t here = std::min(width, channels - c);
    parallel_chunks(*current_pool(), dense.numel() / channels,
                    std::max<std::int64_t>(1, kPieceBytes / channels),
                    [&](std::int64_t begin, std::int64_t end) {
                      std::array<std::uint8_t, kPieceBytes> mapped;
                      const std::uint8_t* x = from + begin * channels + c;
                      if (map) {
                        // One position where a position is longer than the memory.
                        lookup({map->data(), x, mapped.data(), (end - begin - 1) * channels + here});
                        x = mapped.data();
                      }
                      for (std::int64_t i = begin; i < end; ++i, x += channels)
                        copy_row(to + i * stride + c, x, here);
                    });
  }
}

Tensor cat_int8(std::string_view who, std::span<const Tensor> qxs, int dim, OutputScale scale,
                OutputZeroPoint zero_point, bool relu) {
  check_tensors(who, qxs);
  for (const Tensor& t : qxs) check_int8(who, t);
  const int at = wrap_dim(who, dim, qxs[0].dim());
  const Shape sizes = joined_sizes(who, qxs, at);
  const QParams qparams = output_qparams(who, qxs[0], scale, zero_point);
  Tensor result = Tensor::empty_quantized(sizes, qxs[0].dtype(), qparams, natural_format(sizes.rank()));
  const Affine out = affine_of(result);
  const bool channels = at == 1 && sizes.rank() <= 5;
  std::vector<Tensor> pieces(qxs.begin(), qxs.end());
  std::int64_t start = 0;
  for (Tensor& piece : pieces) {
    std::optional<ByteMap> map;
    if (piece.qparams() != qparams) {
      map = requantize_map(piece.dtype(), affine_of(piece), out, relu ? out.zero_point : out.lo);
    } else if (relu) {
      map = make_byte_map(piece.dtype(), [&](int q) { return std::max(q, out.zero_point); });
    }
    if (channels) {
      copy_channels(result, piece, map, start);
    } else if (map) {
      piece = mapped(piece, *map, result.dtype(), qparams);
    }
    start += piece.size(at);
  }
  if (!channels) copy_pieces(result, pieces, at);
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

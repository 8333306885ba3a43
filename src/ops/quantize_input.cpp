#include "ops/quantize_input.hpp"

#include <algorithm>
#include <array>

#include "engines/native/kernels/rows/rows.hpp"
#include "ops/args.hpp"
#include "support/parallel_chunks.hpp"
#include "tensor/dense_format.hpp"

namespace qconv::ops {
namespace {

// Elements that one task handles, which stay in the L1 cache between the two steps.
constexpr std::int64_t kGrain = 8192;

}  // namespace

Tensor quantize_input(const Tensor& x, const Tensor& like) {
  const MemoryFormat format = natural_format(x.dim());
  Tensor y = Tensor::empty_quantized(x.sizes(), like.dtype(), like.qparams(), format);
  if (y.numel() == 0) return y;
  const Affine q = affine_of(y);
  const engines::rows::Kernels& kernels = engines::rows::kernels(like.dtype() == qint8);
  const auto quantize = [&](const float* from, std::byte* to, std::int64_t count) {
    kernels.quantize({from, to, count, q.inverse, q.zero_point, static_cast<float>(q.lo - q.zero_point),
                      static_cast<float>(q.hi - q.zero_point)});
  };
  auto* to = static_cast<std::byte*>(y.raw_mutable_data());
  const bool planes = format != MemoryFormat::contiguous && x.is_contiguous() && !x.is_contiguous(format);
  if (!planes || x.size(1) > kGrain) {
    const Tensor dense = x.contiguous(format);
    const auto* from = dense.data<float>();
    parallel_chunks(*current_pool(), x.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      quantize(from + begin, to + begin, end - begin);
    });
    return y;
  }
  // Planes of channels to channels last, a piece of the positions at a time.
  const std::int64_t channels = x.size(1);
  const std::int64_t positions = x.numel() / (x.size(0) * channels);
  const std::int64_t piece = std::clamp<std::int64_t>(kGrain / channels, 1, positions);
  const std::int64_t pieces = (positions + piece - 1) / piece;
  const auto* from = x.data<float>();
  parallel_chunks(*current_pool(), x.size(0) * pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    std::array<std::byte, kGrain> bytes;
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t image = task / pieces * channels * positions;
      const std::int64_t first = task % pieces * piece;
      const std::int64_t count = std::min(piece, positions - first);
      for (std::int64_t c = 0; c < channels; ++c)
        quantize(from + image + c * positions + first, bytes.data() + c * piece, count);
      kernels.interleave({reinterpret_cast<const std::uint8_t*>(bytes.data()),
                          reinterpret_cast<std::uint8_t*>(to + image + first * channels), channels, piece,
                          count});
    }
  });
  return y;
}

Tensor dequantize_output(const Tensor& qx) {
  const MemoryFormat format = dense_format(qx);
  const Tensor dense = qx.contiguous(format);
  Tensor y = Tensor::empty(qx.sizes(), DType::float32, format);
  const Affine q = affine_of(qx);
  const auto run = engines::rows::kernels(qx.dtype() == qint8).dequantize;
  const auto* from = static_cast<const std::byte*>(dense.raw_data());
  auto* to = y.mutable_data<float>();
  parallel_chunks(*current_pool(), qx.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    run({from + begin, to + begin, end - begin, q.scale, q.zero_point});
  });
  return y;
}

}  // namespace qconv::ops

#include "ops/window.hpp"

#include <limits>

#include "support/check.hpp"

namespace qconv::ops {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a <= 0 ? 0 : (a - 1) / b + 1; }

struct AxisPooling {
  std::int64_t in, kernel, stride, begin, end, dilation;

  std::int64_t output(bool ceil_mode) const {
    const std::int64_t room = in + begin + end - dilation * (kernel - 1) - 1;
    if (room < 0 && !(ceil_mode && room + stride > 0)) return 0;
    std::int64_t out = (ceil_mode ? ceil_div(room, stride) : room / stride) + 1;
    // A window that would start in the padding at the end sees nothing.
    if (ceil_mode && (out - 1) * stride >= in + begin) --out;
    return out;
  }

  // The taps of [0, kernel) from `start` on that lie below `limit`.
  std::int64_t taps_below(std::int64_t start, std::int64_t limit) const {
    return std::min(kernel, ceil_div(limit - start, dilation));
  }

  Window window(std::int64_t o, bool count_padding) const {
    const std::int64_t start = o * stride - begin;
    const std::int64_t skipped = std::min(kernel, ceil_div(-start, dilation));
    const std::int64_t count = std::max<std::int64_t>(0, taps_below(start, in) - skipped);
    return {start + skipped * dilation, count, count_padding ? taps_below(start, in + end) : count};
  }
};

}  // namespace

Windows pooling_windows(std::string_view who, const Volume& input, const Pooling& pooling) {
  const int ndim = input.ndim;
  ConvGeometry g;  // for its reading and its checks of kernel, stride, padding and dilation
  g.ndim = ndim;
  g.kernel = pooling.kernel_size.spatial(ndim, 1, who, "kernel_size");
  g.stride = pooling.stride ? pooling.stride->spatial(ndim, 1, who, "stride") : g.kernel;
  g.dilation = pooling.dilation.spatial(ndim, 1, who, "dilation");
  g.validate(who);
  pooling.padding.apply(g, who);
  g.validate(who);
  Windows windows;
  windows.step = g.dilation;
  for (std::size_t d = 0; d < 3; ++d) {
    const AxisPooling axis{input.spatial[d],   g.kernel[d],      g.stride[d],
                           g.padding_begin[d], g.padding_end[d], g.dilation[d]};
    const std::int64_t span = axis.dilation * (axis.kernel - 1) + 1;
    check(axis.begin < span && axis.end < span,
          "{}: padding must be smaller than the kernel, got ({}, {}) for a kernel that spans {}", who,
          axis.begin, axis.end, span);
    check(input.batch == 0 || axis.in > 0, "{}: input of spatial size {} has nothing to pool", who, axis.in);
    const std::int64_t out = axis.in == 0 ? 0 : axis.output(pooling.ceil_mode);
    check(input.batch == 0 || out >= 1,
          "{}: the input of spatial size {} with padding ({}, {}) is smaller than the kernel, which spans {}",
          who, axis.in, axis.begin, axis.end, span);
    check(out <= std::numeric_limits<std::int32_t>::max(), "{}: output of spatial size {} is beyond reason",
          who, out);
    for (std::int64_t o = 0; o < out; ++o)
      windows.axes[d].push_back(axis.window(o, pooling.count_include_pad));
  }
  return windows;
}

Windows adaptive_windows(std::string_view who, const Volume& input, const IntList& output_size) {
  const Spatial out = output_size.spatial(input.ndim, 1, who, "output_size");
  Windows windows;
  for (std::size_t d = 0; d < 3; ++d) {
    const std::int64_t in = input.spatial[d];
    check(out[d] >= 0 && out[d] <= std::numeric_limits<std::int32_t>::max(),
          "{}: output_size must not be negative, got {}", who, out[d]);
    check(input.batch == 0 || in > 0, "{}: input of spatial size {} has nothing to pool", who, in);
    for (std::int64_t o = 0; o < out[d]; ++o) {
      const std::int64_t first = o * in / out[d];
      const std::int64_t count = ceil_div((o + 1) * in, out[d]) - first;
      windows.axes[d].push_back({first, count, count});
    }
  }
  return windows;
}

}  // namespace qconv::ops

#include "graph/windows.hpp"

#include <cmath>

#include "support/check.hpp"

namespace qconv::graph {

Spatial spatial_of(const Shape& sizes, int ndim, std::string_view who) {
  check(sizes.rank() == ndim + 2, "{}: expected an input with {} dimensions, got sizes {}", who, ndim + 2,
        sizes.to_string());
  Spatial spatial{1, 1, 1};
  for (int d = 0; d < ndim; ++d) spatial[static_cast<std::size_t>(3 - ndim + d)] = sizes[2 + d];
  return spatial;
}

std::optional<ConvGeometry> resolve_padding(ConvGeometry g, AutoPad auto_pad,
                                            const std::vector<std::int64_t>& output_shape,
                                            const Spatial& input) {
  if (auto_pad == AutoPad::given && output_shape.empty()) return g;
  for (std::size_t d = static_cast<std::size_t>(3 - g.ndim); d < 3; ++d) {
    const std::int64_t span = g.dilation[d] * (g.kernel[d] - 1) + 1;
    std::int64_t total = 0;
    if (g.transposed) {
      // padding = stride * (input - 1) + output_padding + span - output; without an output shape, the output
      // is input * stride and the input's size cancels out.
      if (output_shape.empty()) {
        total = span + g.output_padding[d] - g.stride[d];
      } else {
        if (input[d] < 0) return std::nullopt;
        total = g.stride[d] * (input[d] - 1) + g.output_padding[d] + span -
                output_shape[d - static_cast<std::size_t>(3 - g.ndim)];
      }
      check(total >= 0,
            "{}: the output size asked for is larger than the input can give; raise output_padding",
            g.name());
    } else if (g.stride[d] == 1) {
      total = span - 1;
    } else {
      if (input[d] < 0) return std::nullopt;
      const std::int64_t outputs = (input[d] + g.stride[d] - 1) / g.stride[d];
      total = std::max<std::int64_t>((outputs - 1) * g.stride[d] + span - input[d], 0);
    }
    const std::int64_t smaller = total / 2;
    // For transposed convolutions with an output shape but no auto_pad, ONNX puts the odd element in front.
    const bool odd_at_end = auto_pad == AutoPad::same_upper;
    g.padding_begin[d] = odd_at_end ? smaller : total - smaller;
    g.padding_end[d] = odd_at_end ? total - smaller : smaller;
  }
  return g;
}

Spatial pooled_spatial(const ConvGeometry& window, const Spatial& input, bool ceil_mode) noexcept {
  Spatial out = window.output_spatial(input);
  if (!ceil_mode) return out;
  for (std::size_t d = 0; d < 3; ++d) {
    const std::int64_t room = input[d] + window.padding_begin[d] + window.padding_end[d] -
                              (window.dilation[d] * (window.kernel[d] - 1) + 1);
    if (room < 0) continue;
    out[d] = (room + window.stride[d] - 1) / window.stride[d] + 1;
    if ((out[d] - 1) * window.stride[d] >= input[d] + window.padding_begin[d]) --out[d];
  }
  return out;
}

Shape scaled_sizes(const Shape& sizes, const std::vector<float>& scales) {
  Shape out = sizes;
  for (int d = 0; d < out.rank(); ++d) {
    if (out[d] < 0) continue;
    const double scaled =
        std::floor(static_cast<double>(out[d]) * static_cast<double>(scales[static_cast<std::size_t>(d)]));
    check(scaled >= 0 && scaled < 2147483648.0, "Resize: a size of {} scaled by {} is not usable", out[d],
          scales[static_cast<std::size_t>(d)]);
    out[d] = static_cast<std::int64_t>(scaled);
  }
  return out;
}

}  // namespace qconv::graph

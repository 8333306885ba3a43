#include <array>
#include <limits>
#include <optional>

#include <fmt/ranges.h>

#include <qconv/conv_problem.hpp>

#include "support/check.hpp"

namespace qconv {
namespace {

constexpr std::array<std::string_view, 4> kPaddingModes{"zeros", "reflect", "replicate", "circular"};
constexpr std::array<std::string_view, 4> kPostOps{"none", "relu", "add", "add_relu"};

// Every geometric value is at most this, so that products of two never leave int64.
constexpr std::int64_t kMaxValue = std::numeric_limits<std::int32_t>::max();

// The used values of a Spatial, turned into text only when a message is needed.
struct Listed {
  std::span<const std::int64_t> values;
};

Listed list(const ConvGeometry& g, const Spatial& s) { return {g.used(s)}; }

}  // namespace
}  // namespace qconv

template <>
struct fmt::formatter<qconv::Listed> {
  constexpr const char* parse(fmt::format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const qconv::Listed& l, Context& context) const {
    return fmt::format_to(context.out(), "({})", fmt::join(l.values, ", "));
  }
};

namespace qconv {

std::string_view to_string(PaddingMode mode) noexcept {
  return kPaddingModes[static_cast<std::size_t>(mode)];
}
std::string_view to_string(PostOp post_op) noexcept { return kPostOps[static_cast<std::size_t>(post_op)]; }

PaddingMode parse_padding_mode(std::string_view name) {
  for (std::size_t i = 0; i < kPaddingModes.size(); ++i) {
    if (kPaddingModes[i] == name) return static_cast<PaddingMode>(i);
  }
  throw ValueError(fmt::format("padding_mode '{}' is not one of {}", name, fmt::join(kPaddingModes, ", ")));
}

Shape ConvGeometry::weight_sizes() const {
  Shape sizes = transposed ? Shape{in_channels, out_channels_per_group()}
                           : Shape{out_channels, in_channels_per_group()};
  for (std::int64_t k : used(kernel)) sizes.push_back(k);
  return sizes;
}

Spatial ConvGeometry::output_spatial(const Spatial& input) const noexcept {
  Spatial out{};
  for (std::size_t d = 0; d < 3; ++d) {
    const std::int64_t span = dilation[d] * (kernel[d] - 1) + 1;
    const std::int64_t padding = padding_begin[d] + padding_end[d];
    if (transposed) {
      out[d] = (input[d] - 1) * stride[d] - padding + span + output_padding[d];
    } else {
      const std::int64_t room = input[d] + padding - span;
      out[d] = room < 0 ? 0 : room / stride[d] + 1;
    }
  }
  return out;
}

std::string ConvGeometry::name() const {
  return fmt::format("conv{}{}d", transposed ? "_transpose" : "", ndim);
}

void ConvGeometry::validate(std::string_view who) const {
  check(ndim >= 1 && ndim <= 3, "{}: convolutions have 1, 2 or 3 spatial dimensions, got {}", who, ndim);
  check(groups >= 1, "{}: groups must be at least 1, got {}", who, groups);
  check(in_channels >= 1 && in_channels <= kMaxValue, "{}: in_channels must be in [1, 2^31), got {}", who,
        in_channels);
  check(out_channels >= 1 && out_channels <= kMaxValue, "{}: out_channels must be in [1, 2^31), got {}", who,
        out_channels);
  check(in_channels % groups == 0,
        "{}: in_channels must be divisible by groups, got {} channels in {} groups", who, in_channels,
        groups);
  check(out_channels % groups == 0,
        "{}: out_channels must be divisible by groups, got {} channels in {} groups", who, out_channels,
        groups);
  std::int64_t taps = 1;
  for (std::size_t d = 0; d < 3; ++d) {
    check(kernel[d] >= 1 && kernel[d] <= kMaxValue, "{}: kernel_size must be at least 1, got {}", who,
          list(*this, kernel));
    check(stride[d] >= 1 && stride[d] <= kMaxValue, "{}: stride must be at least 1, got {}", who,
          list(*this, stride));
    check(dilation[d] >= 1 && dilation[d] <= kMaxValue, "{}: dilation must be at least 1, got {}", who,
          list(*this, dilation));
    check(padding_begin[d] >= 0 && padding_begin[d] <= kMaxValue, "{}: padding must not be negative, got {}",
          who, list(*this, padding_begin));
    check(padding_end[d] >= 0 && padding_end[d] <= kMaxValue, "{}: padding must not be negative, got {}", who,
          list(*this, padding_end));
    check(output_padding[d] >= 0 && (output_padding[d] < stride[d] || output_padding[d] < dilation[d]),
          "{}: output_padding must be smaller than stride or dilation and not negative, got {} with stride "
          "{} and "
          "dilation {}",
          who, list(*this, output_padding), list(*this, stride), list(*this, dilation));
    check(transposed || output_padding[d] == 0,
          "{}: only transposed convolutions have an output_padding, got {}", who,
          list(*this, output_padding));
    check(!__builtin_mul_overflow(taps, kernel[d], &taps) && taps <= kMaxValue,
          "{}: kernel_size {} has more taps than a weight can hold", who, list(*this, kernel));
  }
  check(!transposed || padding_mode == PaddingMode::zeros,
        "{}: transposed convolutions have padding_mode 'zeros' only, got '{}'", who, to_string(padding_mode));
  weight_sizes().numel();  // throws when it overflows
}

namespace {

Shape sizes_of(std::int64_t batch, std::int64_t channels, std::span<const std::int64_t> spatial) {
  Shape sizes{batch, channels};
  for (std::int64_t s : spatial) sizes.push_back(s);
  return sizes;
}

}  // namespace

Shape ConvProblem::input_sizes() const { return sizes_of(batch, geometry.in_channels, geometry.used(input)); }

Shape ConvProblem::output_sizes() const {
  const Spatial out = output();
  return sizes_of(batch, geometry.out_channels, geometry.used(out));
}

std::int64_t ConvProblem::multiply_adds() const noexcept {
  const Spatial& counted = geometry.transposed ? input : output();
  const std::int64_t factors[] = {batch,
                                  counted[0],
                                  counted[1],
                                  counted[2],
                                  geometry.taps(),
                                  geometry.in_channels,
                                  geometry.out_channels_per_group()};
  std::int64_t product = 1;
  for (const std::int64_t factor : factors) {
    if (__builtin_mul_overflow(product, factor, &product)) return std::numeric_limits<std::int64_t>::max();
  }
  return product;
}

void ConvProblem::validate(std::string_view who) const {
  geometry.validate(who);
  check(batch >= 0, "{}: the batch must not be negative, got {}", who, batch);
  for (const DType dtype : {input_dtype, output_dtype}) {
    check<TypeError>(dtype == quint8 || dtype == qint8,
                     "{}: activations and outputs are quint8 or qint8, got {}", who, qconv::to_string(dtype));
  }
  for (const std::int64_t size : input) {
    check(size >= 0 && size <= kMaxValue, "{}: input sizes must be in [0, 2^31), got {}", who,
          list(geometry, input));
  }
  const Spatial out = output();  // cannot overflow now
  for (std::size_t d = 0; d < 3; ++d) {
    if (batch == 0) continue;
    check(input[d] >= 1, "{}: input of spatial size {} has nothing to convolve", who, list(geometry, input));
    check(out[d] >= 1,
          "{}: each dimension of the output must be greater than 0, got {} from input {}, kernel {}, stride "
          "{}, padding "
          "{}, dilation {}; the input is too small",
          who, list(geometry, out), list(geometry, input), list(geometry, geometry.kernel),
          list(geometry, geometry.stride), list(geometry, geometry.padding_begin),
          list(geometry, geometry.dilation));
    check(out[d] <= kMaxValue, "{}: output of spatial size {} is beyond reason", who, list(geometry, out));
    const std::int64_t most = std::max(geometry.padding_begin[d], geometry.padding_end[d]);
    check(geometry.padding_mode != PaddingMode::reflect || most < input[d],
          "{}: reflect padding must be smaller than the input, got padding {} for input {}", who,
          list(geometry, geometry.padding_begin), list(geometry, input));
    check(geometry.padding_mode != PaddingMode::circular || most <= input[d],
          "{}: circular padding must not exceed the input, got padding {} for input {}", who,
          list(geometry, geometry.padding_begin), list(geometry, input));
  }
  if (batch > 0) {
    input_sizes().numel();
    output_sizes().numel();
  }
}

}  // namespace qconv

// Where every output element of a resize comes from.
#include "ops/resize_taps.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/ranges.h>

#include "support/check.hpp"

namespace qconv {
namespace {

constexpr std::array<std::string_view, 3> kModes{"nearest", "linear", "cubic"};
constexpr std::array<std::string_view, 4> kCoordinates{"half_pixel", "pytorch_half_pixel", "align_corners",
                                                       "asymmetric"};
constexpr std::array<std::string_view, 4> kNearest{"round_prefer_floor", "round_prefer_ceil", "floor",
                                                   "ceil"};

template <class E, std::size_t N>
E parse(const std::array<std::string_view, N>& names, std::string_view name, std::string_view what) {
  const auto found = std::find(names.begin(), names.end(), name);
  check(found != names.end(), "{} '{}' is not one of {}", what, name, fmt::join(names, ", "));
  return static_cast<E>(found - names.begin());
}

}  // namespace

std::string_view to_string(ResizeMode mode) noexcept { return kModes[static_cast<std::size_t>(mode)]; }
std::string_view to_string(CoordinateMode mode) noexcept {
  return kCoordinates[static_cast<std::size_t>(mode)];
}
std::string_view to_string(NearestMode mode) noexcept { return kNearest[static_cast<std::size_t>(mode)]; }
ResizeMode parse_resize_mode(std::string_view name) { return parse<ResizeMode>(kModes, name, "resize mode"); }
CoordinateMode parse_coordinate_mode(std::string_view name) {
  return parse<CoordinateMode>(kCoordinates, name, "coordinate mode");
}
NearestMode parse_nearest_mode(std::string_view name) {
  return parse<NearestMode>(kNearest, name, "nearest mode");
}

Resize Resize::pytorch(std::string_view mode, bool align_corners) {
  Resize r;
  if (mode == "nearest" || mode == "nearest-exact") {
    check(!align_corners, "interpolate: align_corners is for linear and cubic modes, not '{}'", mode);
    if (mode == "nearest") return r;
    r.coordinates = CoordinateMode::half_pixel;
    r.nearest_mode = NearestMode::round_prefer_ceil;
    return r;
  }
  check(mode == "linear" || mode == "bilinear" || mode == "trilinear" || mode == "bicubic",
        "interpolate: mode '{}' is not one of nearest, nearest-exact, linear, bilinear, trilinear, bicubic",
        mode);
  r.mode = mode == "bicubic" ? ResizeMode::cubic : ResizeMode::linear;
  r.coordinates = align_corners ? CoordinateMode::align_corners : CoordinateMode::half_pixel;
  return r;
}

namespace ops {
namespace {

// A position on the input. The scale is the exact quotient of two numbers, which are divided by last, so that
// positions that should be integers are.
struct Position {
  CoordinateMode mode;
  std::int64_t in, out;
  double scale;  // 0 when the sizes decide

  double operator()(std::int64_t o) const {
    const auto at = static_cast<double>(o);
    switch (mode) {
      case CoordinateMode::half_pixel:
        return unscaled(at + 0.5) - 0.5;
      case CoordinateMode::pytorch_half_pixel:
        return out > 1 ? unscaled(at + 0.5) - 0.5 : 0.0;
      case CoordinateMode::align_corners:
        return out > 1 ? at * static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0.0;
      case CoordinateMode::asymmetric:
        return unscaled(at);
    }
    return at;
  }

 private:
  double unscaled(double v) const {
    return scale > 0 ? v / scale : v * static_cast<double>(in) / static_cast<double>(out);
  }
};

std::int64_t nearest(double x, NearestMode mode) {
  switch (mode) {
    case NearestMode::round_prefer_floor:
      return static_cast<std::int64_t>(std::ceil(x - 0.5));
    case NearestMode::round_prefer_ceil:
      return static_cast<std::int64_t>(std::floor(x + 0.5));
    case NearestMode::floor:
      return static_cast<std::int64_t>(std::floor(x));
    case NearestMode::ceil:
      return static_cast<std::int64_t>(std::ceil(x));
  }
  return 0;
}

// Keys' cubic convolution kernel with parameter `a`, at the four taps around a position that lies `t` behind
// the second one. Formula: R. Keys, IEEE TASSP 29 (1981), equation 4 for general a.
std::array<double, 4> cubic_weights(double t, double a) {
  const auto near = [a](double x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  const auto far = [a](double x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
  return {far(t + 1), near(t), near(1 - t), far(2 - t)};
}

ResizeAxis make_axis(std::int64_t in, std::int64_t out, double scale, const Resize& resize) {
  const Position position{resize.coordinates, in, out, scale};
  ResizeAxis axis;
  axis.out = out;
  axis.taps = resize.mode == ResizeMode::nearest ? 1 : resize.mode == ResizeMode::linear ? 2 : 4;
  const auto inside = [&](std::int64_t i) { return std::clamp<std::int64_t>(i, 0, in - 1); };
  for (std::int64_t o = 0; o < out; ++o) {
    const double x = position(o);
    if (resize.mode == ResizeMode::nearest) {
      axis.index.push_back(inside(nearest(x, resize.nearest_mode)));
      axis.weight.push_back(1.0F);
      continue;
    }
    // Beyond the border there is only the border element.
    const double limited =
        resize.mode == ResizeMode::linear ? std::clamp(x, 0.0, static_cast<double>(in - 1)) : x;
    const double base = std::floor(limited);
    const auto first = static_cast<std::int64_t>(base);
    const double t = limited - base;
    if (resize.mode == ResizeMode::linear) {
      axis.index.insert(axis.index.end(), {inside(first), inside(first + 1)});
      axis.weight.insert(axis.weight.end(), {static_cast<float>(1 - t), static_cast<float>(t)});
      continue;
    }
    const auto weights = cubic_weights(t, resize.cubic_coeff_a);
    for (std::int64_t k = 0; k < 4; ++k) {
      axis.index.push_back(inside(first - 1 + k));
      axis.weight.push_back(static_cast<float>(weights[static_cast<std::size_t>(k)]));
    }
  }
  return axis;
}

}  // namespace

std::array<ResizeAxis, 3> resize_axes(std::string_view who, const Volume& input, const Resize& resize) {
  const std::size_t ndim = static_cast<std::size_t>(input.ndim);
  const std::vector<double>& factors = resize.scale_factor;
  check(resize.size || !factors.empty(), "{}: either size or scale_factor must be given", who);
  check(factors.size() <= 1 || factors.size() == ndim,
        "{}: scale_factor should contain {} numbers for an input of {} spatial dimensions, got ({})", who,
        ndim, ndim, fmt::join(factors, ", "));
  check(std::isfinite(resize.cubic_coeff_a), "{}: cubic_coeff_a must be finite, got {}", who,
        resize.cubic_coeff_a);
  const Spatial size = resize.size ? resize.size->spatial(input.ndim, 1, who, "size") : Spatial{1, 1, 1};
  // Every size is checked before any taps are made: their number is the caller's.
  Spatial out{1, 1, 1};
  std::array<double, 3> scale{};
  for (std::size_t d = 3 - ndim; d < 3; ++d) {
    scale[d] = factors.empty() ? 0.0 : factors[factors.size() == 1 ? 0 : d - (3 - ndim)];
    check(factors.empty() || (std::isfinite(scale[d]) && scale[d] > 0),
          "{}: scale factors must be positive and finite, got {}", who, scale[d]);
    const std::int64_t in = input.spatial[d];
    const double scaled = std::floor(static_cast<double>(in) * scale[d]);
    check(scaled <= std::numeric_limits<std::int32_t>::max(), "{}: scale factor {} makes {} elements of {}",
          who, scale[d], scaled, in);
    out[d] = resize.size ? size[d] : static_cast<std::int64_t>(scaled);
    check(out[d] >= 1 || input.batch == 0, "{}: an output of spatial size {} (from {}) is empty", who, out[d],
          in);
    check(out[d] <= std::numeric_limits<std::int32_t>::max(),
          "{}: output of spatial size {} is beyond reason", who, out[d]);
    check(in >= 1 || input.batch == 0, "{}: input of spatial size {} has nothing to resize", who, in);
  }
  const bool empty = input.batch == 0 || input.channels == 0;
  std::array<ResizeAxis, 3> axes;
  axes.fill({1, {0}, {1.0F}, 1});
  for (std::size_t d = 3 - ndim; d < 3; ++d) {
    // An output without elements needs no taps, however far it reaches.
    axes[d] = empty ? ResizeAxis{1, {}, {}, std::max<std::int64_t>(out[d], 0)}
                    : make_axis(input.spatial[d], out[d], scale[d], resize);
  }
  return axes;
}

}  // namespace ops
}  // namespace qconv

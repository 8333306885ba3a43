#include <fmt/ranges.h>

#include <qconv/nn/conv_attributes.hpp>

#include "nn/python_repr.hpp"
#include "support/check.hpp"

namespace qconv::nn {
namespace {

std::vector<std::int64_t> list(const ConvGeometry& g, const Spatial& s) {
  const auto used = g.used(s);
  return {used.begin(), used.end()};
}

// The attributes as both constructors' checks leave them.
ConvAttributes attributes_of(const ConvGeometry& g) {
  ConvAttributes a;
  a.in_channels = g.in_channels;
  a.out_channels = g.out_channels;
  a.kernel_size = list(g, g.kernel);
  a.stride = list(g, g.stride);
  a.padding = list(g, g.padding_begin);
  if (g.padding_begin != g.padding_end) {
    const auto ends = g.used(g.padding_end);
    a.padding.insert(a.padding.end(), ends.begin(), ends.end());
  }
  a.dilation = list(g, g.dilation);
  a.transposed = g.transposed;
  a.output_padding = list(g, g.output_padding);
  a.groups = g.groups;
  a.padding_mode = g.padding_mode;
  return a;
}

// Both kinds of options have the members read here.
template <class Options>
ConvGeometry geometry_of(const ConvKind& kind, const Options& options, std::string_view who) {
  ConvGeometry g;
  g.ndim = kind.ndim;
  g.transposed = kind.transposed;
  g.in_channels = options.in_channels;
  g.out_channels = options.out_channels;
  g.groups = options.groups;
  g.kernel = options.kernel_size.spatial(kind.ndim, 1, who, "kernel_size");
  g.stride = options.stride.spatial(kind.ndim, 1, who, "stride");
  g.dilation = options.dilation.spatial(kind.ndim, 1, who, "dilation");
  g.padding_mode = options.padding_mode;
  return g;
}

// Padding given by name depends on the other values, so these are checked before it is resolved.
ConvAttributes checked(ConvGeometry g, const Padding& padding, std::string_view who) {
  g.validate(who);
  padding.apply(g, who);
  g.validate(who);
  return attributes_of(g);
}

bool all_equal(const std::vector<std::int64_t>& values, std::int64_t to) {
  return std::all_of(values.begin(), values.end(), [&](std::int64_t v) { return v == to; });
}

}  // namespace

std::string ConvKind::name() const {
  std::string_view fused;
  switch (post_op) {
    case PostOp::none:
      break;
    case PostOp::relu:
      fused = "ReLU";
      break;
    case PostOp::add:
      fused = "Add";
      break;
    case PostOp::add_relu:
      fused = "AddReLU";
      break;
  }
  return fmt::format("Conv{}{}{}{}d", transposed ? "Transpose" : "", batch_norm ? "Bn" : "", fused, ndim);
}

ConvAttributes make_attributes(const ConvKind& kind, const ConvOptions& options, std::string_view who) {
  return checked(geometry_of(kind, options, who), options.padding, who);
}

ConvAttributes make_attributes(const ConvKind& kind, const ConvTransposeOptions& options,
                               std::string_view who) {
  ConvGeometry g = geometry_of(kind, options, who);
  g.output_padding = options.output_padding.spatial(kind.ndim, 0, who, "output_padding");
  return checked(g, options.padding, who);
}

ConvGeometry ConvAttributes::geometry(std::string_view who) const {
  check(ndim() >= 1 && ndim() <= 3, "{}: kernel_size should contain 1, 2 or 3 elements, got {}", who,
        python_tuple(kernel_size));
  ConvGeometry g;
  g.ndim = ndim();
  g.transposed = transposed;
  g.in_channels = in_channels;
  g.out_channels = out_channels;
  g.groups = groups;
  g.kernel = IntList(kernel_size).spatial(g.ndim, 1, who, "kernel_size");
  g.stride = IntList(stride).spatial(g.ndim, 1, who, "stride");
  g.dilation = IntList(dilation).spatial(g.ndim, 1, who, "dilation");
  g.output_padding = IntList(output_padding).spatial(g.ndim, 0, who, "output_padding");
  g.padding_mode = padding_mode;
  Padding(padding).apply(g, who);
  g.validate(who);
  return g;
}

std::string ConvAttributes::repr_head() const {
  return fmt::format("{}, {}, kernel_size={}, stride={}", in_channels, out_channels,
                     python_tuple(kernel_size), python_tuple(stride));
}

std::string ConvAttributes::repr_tail(std::string_view padding_name) const {
  std::string text;
  if (!padding_name.empty()) {
    text += fmt::format(", padding={}", padding_name);
  } else if (!all_equal(padding, 0)) {
    text += fmt::format(", padding={}", python_tuple(padding));
  }
  if (!all_equal(dilation, 1)) text += fmt::format(", dilation={}", python_tuple(dilation));
  if (!all_equal(output_padding, 0)) text += fmt::format(", output_padding={}", python_tuple(output_padding));
  if (groups != 1) text += fmt::format(", groups={}", groups);
  return text;
}

}  // namespace qconv::nn

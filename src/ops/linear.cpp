// int8 linear layers as convolutions of one tap: rows become positions.
#include <qconv/network_ops.hpp>

#include "ops/args.hpp"
#include "ops/packed_checks.hpp"
#include "ops/prepack.hpp"
#include "ops/run.hpp"
#include "support/check.hpp"

namespace qconv::ops {
namespace {

// (rows, features) in row-major memory seen as (1, features, rows), which is then channels-last.
Tensor as_positions(const Tensor& rows) { return rows.transpose(0, 1).unsqueeze(0); }

const ConvPackedParams& checked_linear(std::string_view who, const PackedParams& packed) {
  check(packed != nullptr, "{}: the packed parameters are null; call linear_prepack first", who);
  const ConvGeometry& g = packed->geometry();
  check(g.ndim == 1 && !g.transposed && g.taps() == 1 && g.groups == 1 && g.stride[2] == 1 &&
            g.padding_begin[2] == 0 && g.padding_end[2] == 0,
        "{}: the packed parameters are those of a {}, expected linear_prepack's", who, g.name());
  return *packed;
}

Tensor run_linear(std::string_view who, const Tensor& qx, const PackedParams& packed, double scale,
                  std::int64_t zero_point, OutputDType output_dtype, bool relu) {
  const ConvPackedParams& params = checked_linear(who, packed);
  check_int8(who, qx);
  const ConvGeometry& g = params.geometry();
  check(qx.dim() >= 1 && qx.size(-1) == g.in_channels,
        "{}: expected an input of sizes (..., {}) for a weight of sizes ({}, {}), got {}", who, g.in_channels,
        g.out_channels, g.in_channels, qx.sizes());
  Shape sizes = qx.sizes();
  sizes[sizes.rank() - 1] = g.out_channels;
  const std::int64_t rows = qx.numel() / g.in_channels;
  if (rows == 0) {
    const DType dtype = output_dtype.value_or(qx.dtype());
    return Tensor::empty_quantized(sizes, dtype, QParams::per_tensor(scale, zero_point));
  }
  const Tensor x = as_positions(qx.contiguous().view({rows, g.in_channels}));
  const Tensor y = run(params, {who, x, nullptr, scale, zero_point, output_dtype, relu});
  return y.select(0, 0).transpose(0, 1).view(sizes);
}

}  // namespace

PackedParams prepack_linear(const Tensor& weight, const Bias& bias, const PrepackOptions& options,
                            const PackUse& use) {
  check(weight.defined(), "linear_prepack: the weight is undefined");
  check<TypeError>(weight.dtype() == qint8, "linear_prepack: expected a weight of dtype qint8, got {}",
                   to_string(weight.dtype()));
  check(weight.dim() == 2,
        "linear_prepack: expected a weight of sizes (out_features, in_features), got sizes {}",
        weight.sizes());
  ConvGeometry one_tap;
  one_tap.ndim = 1;
  return prepack("linear_prepack", weight.unsqueeze(2), bias, one_tap, Padding(0), options, use);
}

PackedParams linear_prepack(const Tensor& weight, const Bias& bias, const PrepackOptions& options) {
  return prepack_linear(weight.defined() ? weight.clone() : weight, bias, options);
}

Unpacked linear_unpack(const PackedParams& packed) {
  auto [weight, bias] = checked_linear("linear_unpack", packed).unpack();
  return {weight.squeeze(2), std::move(bias)};
}

Tensor linear(const Tensor& qx, const PackedParams& packed, double output_scale,
              std::int64_t output_zero_point, OutputDType output_dtype) {
  return run_linear("linear", qx, packed, output_scale, output_zero_point, output_dtype, false);
}
Tensor linear_relu(const Tensor& qx, const PackedParams& packed, double output_scale,
                   std::int64_t output_zero_point, OutputDType output_dtype) {
  return run_linear("linear_relu", qx, packed, output_scale, output_zero_point, output_dtype, true);
}

}  // namespace qconv::ops

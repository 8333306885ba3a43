#include <algorithm>
#include <cmath>
#include <limits>

#include <qconv/nn/quantized_conv.hpp>

#include "nn/python_repr.hpp"
#include "nn/state_reader.hpp"
#include "ops/prepack.hpp"
#include "ops/run.hpp"
#include "support/check.hpp"

namespace qconv::nn::quantized {
namespace {

constexpr std::string_view kInputShapes[] = {"(N, C, L)", "(N, C, H, W)", "(N, C, D, H, W)"};

void check_input_shape(const std::string& who, const Tensor& input, int ndim) {
  check(input.defined(), "{}: the input is undefined", who);
  check(input.dim() == ndim + 2, "{}: Input shape must be `{}`! Got sizes {}", who,
        kInputShapes[static_cast<std::size_t>(ndim - 1)], input.sizes().to_string());
}

bool is_scale(double scale) {
  const auto single = static_cast<float>(scale);
  return single > 0 && std::isfinite(single);
}

Tensor zero_weight(const Shape& sizes) {
  Tensor weight = Tensor::empty_quantized(sizes, qint8, QParams::per_tensor(1.0, 0));
  std::fill_n(weight.mutable_data<std::int8_t>(), weight.numel(), std::int8_t{0});
  return weight;
}

}  // namespace

std::string quantized_name(const ConvKind& kind) {
  return (kind.dynamic ? "DynamicQuantized" : "Quantized") + kind.name();
}

void ConvNd::zero_fill(bool with_bias) {
  std::optional<Tensor> bias;
  if (with_bias) bias = Tensor::zeros({out_channels}, float32);
  set_weight_bias(zero_weight(geometry(name()).weight_sizes()), bias);
}

PackedParams ConvNd::pack(const ConvAttributes& attributes, const Tensor& weight,
                          const std::optional<Tensor>& bias, RequantRule rule,
                          const std::string& engine) const {
  const std::string who = name();
  const ConvGeometry g = attributes.geometry(who);
  check(g.ndim == kind_.ndim && g.transposed == kind_.transposed,
        "{}: these are the attributes of a {}, expected those of a conv{}{}d", who, g.name(),
        kind_.transposed ? "_transpose" : "", kind_.ndim);
  check(weight.defined() && weight.sizes() == g.weight_sizes(), "{}: got a weight of sizes {}, expected {}",
        who, weight.defined() ? weight.sizes().to_string() : "None", g.weight_sizes().to_string());
  return ops::prepack_copy(who, weight, bias, g, Padding(attributes.padding),
                           {.padding_mode = attributes.padding_mode, .rule = rule, .engine = engine});
}

void ConvNd::set_weight_bias(const Tensor& weight, const std::optional<Tensor>& bias) {
  packed_params_ = pack(*this, weight, bias, rule_, engine_);
}

void ConvNd::set_weight_bias(const Tensor& weight, const std::optional<Tensor>& bias, RequantRule rule,
                             const std::string& engine) {
  packed_params_ = pack(*this, weight, bias, rule, engine);
  rule_ = rule;
  engine_ = engine;
}

ConvState ConvNd::getstate() const {
  auto [weight, bias] = packed_params_->unpack();
  return {*this, std::move(weight), std::move(bias), scale, zero_point, training, rule_, engine_};
}

void ConvNd::setstate(const ConvState& state) {
  check(is_scale(state.scale), "{}: the output scale must be positive and finite, got {}", name(),
        state.scale);
  packed_params_ = pack(state, state.weight, state.bias, state.rule, state.engine);
  static_cast<ConvAttributes&>(*this) = state;
  scale = state.scale;
  zero_point = state.zero_point;
  training = state.training;
  rule_ = state.rule;
  engine_ = state.engine;
}

std::string ConvNd::extra_repr() const {
  std::string text = repr_head();
  text += fmt::format(", scale={}, zero_point={}", python_float(scale), zero_point);
  text += repr_tail();
  if (!packed_params_->bias()) text += ", bias=False";
  return text;
}

Tensor ConvNd::run(const Tensor& input, const Tensor* extra) const {
  const std::string who = name();
  check_input_shape(who, input, kind_.ndim);
  return ops::run(*packed_params_, {.who = who,
                                    .input = input,
                                    .addend = extra,
                                    .output_scale = scale,
                                    .output_zero_point = zero_point,
                                    .relu = has_relu(kind_.post_op)});
}

Tensor ConvNd::run_dynamic(const Tensor& input, bool reduce_range) const {
  check_input_shape(name(), input, kind_.ndim);
  using Operator = Tensor (*)(const Tensor&, const PackedParams&, bool);
  static constexpr Operator kOperators[2][3] = {
      {ops::conv1d_dynamic, ops::conv2d_dynamic, ops::conv3d_dynamic},
      {ops::conv_transpose1d_dynamic, ops::conv_transpose2d_dynamic, ops::conv_transpose3d_dynamic}};
  return kOperators[kind_.transposed ? 1 : 0][kind_.ndim - 1](input, packed_params_, reduce_range);
}

void ConvNd::save(StateDict& state, const std::string& prefix) const {
  auto [weight, bias] = packed_params_->unpack();
  state.set(prefix + "weight", std::move(weight));
  state.set(prefix + "bias", bias ? std::move(*bias) : Tensor());
  state.set(prefix + "scale", Tensor::scalar(static_cast<float>(scale)));
  state.set(prefix + "zero_point", Tensor::scalar(zero_point));
}

void ConvNd::unshare() {
  Module::unshare();
  setstate(getstate());
}

void ConvNd::read(StateReader& reader, const std::string& prefix) {
  const Tensor* weight = reader.tensor(prefix + "weight", qint8, geometry(name()).weight_sizes());
  // A file format without None leaves out the bias that is not there.
  const Tensor* bias =
      reader.optional_tensor(prefix + "bias", float32, {out_channels}, packed_params_->bias().has_value());
  const auto new_scale = reader.number(prefix + "scale", std::numeric_limits<float>::min(),
                                       std::numeric_limits<float>::max(), false);
  const auto new_zero_point = reader.number(prefix + "zero_point", -128, 255, true);

  PackedParams packed = packed_params_;
  if (weight != nullptr || bias != nullptr) {
    std::optional<Tensor> bias_to_pack = packed_params_->bias();
    if (bias != nullptr) bias_to_pack = bias->defined() ? std::optional(*bias) : std::nullopt;
    try {
      packed =
          pack(*this, weight != nullptr ? *weight : packed_params_->weight(), bias_to_pack, rule_, engine_);
    } catch (const Error& error) {
      reader.mismatch(prefix + "weight", error.what());
    }
  }
  reader.then([this, packed, new_scale, new_zero_point] {
    packed_params_ = packed;
    if (new_scale) scale = *new_scale;
    if (new_zero_point) zero_point = static_cast<std::int64_t>(*new_zero_point);
  });
}

}  // namespace qconv::nn::quantized

#include <cmath>
#include <limits>

#include <qconv/float_convolution.hpp>
#include <qconv/nn/quantized_conv.hpp>
#include <qconv/nn/reference.hpp>
#include <qconv/quantize.hpp>

#include "nn/state_reader.hpp"
#include "support/check.hpp"

namespace qconv::nn::quantized::reference {

ConvNd::ConvNd(const nn::ConvNd& conv, const WeightQParams& weight_qparams)
    : ConvAttributes(conv), weight(conv.weight.clone()) {
  if (conv.bias) bias = conv.bias->clone();
  training = conv.training;
  set_weight_qparams(weight_qparams);
}

WeightQParams ConvNd::rounded(WeightQParams weight_qparams) const {
  for (double& scale : weight_qparams.qparams.scales) scale = static_cast<float>(scale);
  check<TypeError>(is_quantized(weight_qparams.dtype),
                   "{}: a weight is quantized to quint8, qint8 or qint32, got {}", name(),
                   qconv::to_string(weight_qparams.dtype));
  check_qparams(weight_qparams.qparams, weight.sizes(), weight_qparams.dtype, name() + ": weight_qparams");
  return weight_qparams;
}

Tensor ConvNd::get_quantized_weight() const {
  const QParams& q = weight_qparams_.qparams;
  return q.is_per_channel()
             ? quantize_per_channel(weight, q.scales, q.zero_points, q.axis, weight_qparams_.dtype)
             : quantize_per_tensor(weight, q.scales[0], q.zero_points[0], weight_qparams_.dtype);
}

Tensor ConvNd::forward(const Tensor& input) const {
  const std::string who = name();
  return FloatConvolution(geometry(who), get_weight(), bias, {}, who).run(input);
}

std::string ConvNd::name() const { return quantized_name({ndim(), transposed}) + "(Reference)"; }

std::string ConvNd::extra_repr() const {
  std::string text = repr_head() + repr_tail();
  if (!bias) text += ", bias=False";
  if (padding_mode != PaddingMode::zeros)
    text += fmt::format(", padding_mode={}", qconv::to_string(padding_mode));
  return text;
}

void ConvNd::save(StateDict& state, const std::string& prefix) const {
  const QParams& q = weight_qparams_.qparams;
  const Shape sizes = q.is_per_channel() ? Shape{static_cast<std::int64_t>(q.scales.size())} : Shape{};
  const std::vector<float> scales(q.scales.begin(), q.scales.end());
  state.set(prefix + "weight", weight.clone());
  if (bias) state.set(prefix + "bias", bias->clone());
  state.set(prefix + "weight_scale", Tensor::from_data(scales, sizes));
  state.set(prefix + "weight_zero_point", Tensor::from_data(q.zero_points, sizes));
  state.set(prefix + "weight_axis", Tensor::scalar(static_cast<std::int32_t>(std::max(q.axis, 0))));
}

namespace {

// Per tensor or per channel, as the sizes of the entries tell; `current` decides for a list of one.
QParams read_qparams(const Tensor& scales, const Tensor& zero_points, int axis, const QParams& current) {
  check(scales.numel() == zero_points.numel(), "got {} scales and {} zero points", scales.numel(),
        zero_points.numel());
  QParams q;
  q.axis = scales.dim() == 0 || (scales.numel() == 1 && !current.is_per_channel()) ? -1 : axis;
  q.scales.clear();
  q.zero_points.clear();
  const Tensor flat_scales = scales.reshape({scales.numel()});
  const Tensor flat_zero_points = zero_points.reshape({scales.numel()});
  for (int i = 0; i < scales.numel(); ++i) {
    const double zero_point = flat_zero_points.select(0, i).item();
    check(std::abs(zero_point) <= std::numeric_limits<std::int32_t>::max(), "got a zero point of {}",
          zero_point);
    q.scales.push_back(flat_scales.select(0, i).item());
    q.zero_points.push_back(static_cast<std::int64_t>(zero_point));
  }
  return q;
}

}  // namespace

void ConvNd::read(StateReader& reader, const std::string& prefix) {
  reader.take(prefix + "weight", weight);
  reader.take(prefix + "bias", bias);
  const std::int64_t most = std::max(weight.size(0), weight.size(1));
  const Tensor* scales = reader.numbers(prefix + "weight_scale", most);
  const Tensor* zero_points = reader.numbers(prefix + "weight_zero_point", most);
  const auto axis = reader.number(prefix + "weight_axis", 0, weight.dim() - 1, true);
  if (scales == nullptr || zero_points == nullptr || !axis) return;
  try {
    const QParams q = read_qparams(*scales, *zero_points, static_cast<int>(*axis), weight_qparams_.qparams);
    reader.then([this, parameters = rounded({q, weight_qparams_.dtype})] { weight_qparams_ = parameters; });
  } catch (const Error& error) {
    reader.mismatch(prefix + "weight_scale", error.what());
  }
}

void ConvNd::unshare() {
  Module::unshare();
  weight = weight.clone();
  if (bias) bias = bias->clone();
}

}  // namespace qconv::nn::quantized::reference

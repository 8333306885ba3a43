// Quantized modules out of float and reference ones.
#include <qconv/nn/qat.hpp>
#include <qconv/nn/quantized_conv.hpp>
#include <qconv/nn/reference.hpp>
#include <qconv/quantize_weight.hpp>

#include "nn/output_qparams.hpp"
#include "support/check.hpp"

namespace qconv::nn::quantized {
namespace {

// Whether the observer is to see the weight with its first two dimensions exchanged, so that its channels are
// the output channels: PyTorch's presets say axis 0 whatever they are used for, which in a transposed weight
// are the input channels.
bool outputs_swapped(const std::string& who, const nn::ConvNd& conv, const Observer& observer) {
  if (!is_per_channel(observer.qscheme())) return false;
  const int out_axis = conv.transposed ? 1 : 0;
  const bool swapped = conv.transposed && observer.ch_axis() == 0;
  check(observer.ch_axis() == out_axis || swapped,
        "{}: the weight observer has ch_axis {}, expected {}, the output channels of a {}", who,
        observer.ch_axis(), out_axis, conv.name());
  return swapped;
}

// Shows the weight to the observer and quantizes it, per channel along the output channels.
Tensor observed_weight(const std::string& who, const nn::ConvNd& conv, const Tensor& weight,
                       Observer* observer) {
  check(observer != nullptr, "{}: the qconfig's weight factory makes no observer", who);
  check<TypeError>(observer->dtype() == qint8, "{}: Weight observer must have a dtype of qint8, got {}", who,
                   qconv::to_string(observer->dtype()));
  const bool swapped = outputs_swapped(who, conv, *observer);
  const Tensor outputs_first = swapped ? weight.transpose(0, 1) : weight;
  observer->observe(outputs_first);
  check(observer->calibrated(),
        "{}: the weight's observer ({}) is disabled and has seen no weight; enable it or load its state", who,
        observer->name());
  const Tensor quantized = quantize_weight(outputs_first, *observer);
  return swapped ? quantized.transpose(0, 1) : quantized;
}

// The output's parameters in `state`, from an observer that has any.
void set_output(const std::string& who, const Observer& observer, ConvState& state) {
  if (observer.dtype() == float32 || observer.is_dynamic()) return;
  const OutputQParams p = output_qparams(who, observer);
  state.scale = p.scale;
  state.zero_point = p.zero_point;
}

const QConfig& checked(const std::string& who, const std::optional<QConfig>& config) {
  check(config.has_value(),
        "{}: Input float module must have qconfig defined, for example get_default_qconfig()", who);
  check(static_cast<bool>(config->weight), "{}: the qconfig has no weight observer", who);
  return *config;
}

}  // namespace

ConvState state_from_float(const ConvKind& kind, const nn::ConvNd& conv,
                           const std::optional<QConfig>& qconfig, const Observer* activation,
                           std::string_view name) {
  const std::string who = name.empty() ? quantized_name(kind) + ".from_float" : std::string(name);
  const std::unique_ptr<Observer> observer = checked(who, conv.qconfig ? conv.qconfig : qconfig).weight();
  ConvState state{conv, observed_weight(who, conv, conv.weight, observer.get()), conv.bias};
  state.training = conv.training;
  if (activation != nullptr && !kind.dynamic) set_output(who, *activation, state);
  return state;
}

ConvState state_from_qat(const ConvKind& kind, const nn::qat::ConvNd& module, std::string_view name) {
  const std::string who = name.empty() ? quantized_name(kind) + ".from_float" : std::string(name);
  const ConvKind& from = module.kind();
  check<TypeError>(from.ndim == kind.ndim && from.post_op == kind.post_op,
                   "{}: a {} for quantization-aware training does not become a {}", who, from.name(),
                   quantized_name(kind));
  check(module.activation_post_process != nullptr,
        "{}: Input QAT module must have an activation_post_process attached, as prepare_qat does", who);
  auto [weight, bias] = module.folded();
  // A copy: PyTorch's conversion moves the averages of the module that it reads.
  const std::unique_ptr<Observer> observer = module.weight_fake_quant->clone();
  ConvState state{module, observed_weight(who, module, weight, observer.get()), std::move(bias)};
  state.training = module.training;
  set_output(who, *module.activation_post_process, state);
  return state;
}

ConvState state_from_reference(const ConvKind& kind, const reference::ConvNd& module, double output_scale,
                               std::int64_t output_zero_point) {
  check<TypeError>(module.weight_qparams().dtype == qint8,
                   "{}.from_reference: the reference module's weight_qparams must have dtype qint8, got {}",
                   quantized_name(kind), qconv::to_string(module.weight_qparams().dtype));
  ConvState state{module, module.get_quantized_weight(), module.bias, output_scale, output_zero_point};
  state.training = module.training;
  return state;
}

namespace reference {

WeightQParams observed_weight_qparams(const nn::ConvNd& conv, std::string_view name) {
  const std::string who = name.empty() ? conv.name() + ": reference from_float" : std::string(name);
  const std::unique_ptr<Observer> observer = checked(who, conv.qconfig).weight();
  check(observer != nullptr, "{}: the qconfig's weight factory makes no observer", who);
  const bool swapped = outputs_swapped(who, conv, *observer);
  observer->observe(swapped ? conv.weight.transpose(0, 1) : conv.weight);
  WeightQParams found{observer->calculate_qparams().qparams, observer->dtype()};
  if (swapped) found.qparams.axis = 1;
  return found;
}

}  // namespace reference
}  // namespace qconv::nn::quantized

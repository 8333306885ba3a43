#include <qconv/qconfig.hpp>

#include "support/check.hpp"

namespace qconv {
namespace {

constexpr double kQnnpackEps = 0x1p-12;

void check_backend(std::string_view backend, std::string_view who) {
  check(backend == "x86" || backend == "fbgemm" || backend == "onednn" || backend == "qnnpack",
        "{}: unknown backend '{}', expected x86, fbgemm, onednn or qnnpack", who, backend);
}

bool is_fbgemm(std::string_view backend) { return backend == "x86" || backend == "fbgemm"; }

ObserverFactory symmetric_qnnpack_activation() {
  return with_args<HistogramObserver>(ObserverOptions{.dtype = qint8, .eps = kQnnpackEps});
}

}  // namespace

ObserverFactory default_observer() {
  return with_args<MinMaxObserver>(ObserverOptions{.quant_min = 0, .quant_max = 127});
}

ObserverFactory default_histogram_observer() {
  return with_args<HistogramObserver>(ObserverOptions{.quant_min = 0, .quant_max = 127});
}

ObserverFactory default_weight_observer() {
  return with_args<MinMaxObserver>(ObserverOptions{.dtype = qint8, .qscheme = QScheme::per_tensor_symmetric});
}

ObserverFactory default_per_channel_weight_observer(int ch_axis) {
  return with_args<PerChannelMinMaxObserver>(
      ObserverOptions{.dtype = qint8, .qscheme = QScheme::per_channel_symmetric, .ch_axis = ch_axis});
}

ObserverFactory weight_observer_range_neg_127_to_127() {
  return with_args<MinMaxObserver>(ObserverOptions{.dtype = qint8,
                                                   .qscheme = QScheme::per_tensor_symmetric,
                                                   .quant_min = -127,
                                                   .quant_max = 127,
                                                   .eps = kQnnpackEps});
}

ObserverFactory per_channel_weight_observer_range_neg_127_to_127(int ch_axis) {
  return with_args<PerChannelMinMaxObserver>(ObserverOptions{.dtype = qint8,
                                                             .qscheme = QScheme::per_channel_symmetric,
                                                             .quant_min = -127,
                                                             .quant_max = 127,
                                                             .eps = kQnnpackEps,
                                                             .ch_axis = ch_axis});
}

ObserverFactory default_dynamic_quant_observer() {
  return with_args<PlaceholderObserver>(
      ObserverOptions{.quant_min = 0, .quant_max = 255, .is_dynamic = true});
}

QConfig default_qconfig() { return {default_observer(), default_weight_observer()}; }

QConfig default_per_channel_qconfig() { return {default_observer(), default_per_channel_weight_observer()}; }

QConfig default_dynamic_qconfig() { return {default_dynamic_quant_observer(), default_weight_observer()}; }

QConfig per_channel_dynamic_qconfig() {
  return {default_dynamic_quant_observer(), default_per_channel_weight_observer()};
}

QConfig default_symmetric_qnnpack_qconfig() {
  return {symmetric_qnnpack_activation(), weight_observer_range_neg_127_to_127()};
}

QConfig default_per_channel_symmetric_qnnpack_qconfig() {
  return {symmetric_qnnpack_activation(), per_channel_weight_observer_range_neg_127_to_127()};
}

QConfig get_default_qconfig(std::string_view backend) {
  check_backend(backend, "get_default_qconfig");
  return {with_args<HistogramObserver>(ObserverOptions{.reduce_range = is_fbgemm(backend)}),
          backend == "qnnpack" ? default_weight_observer() : default_per_channel_weight_observer()};
}

QConfig get_default_transposed_qconfig(std::string_view backend) {
  check_backend(backend, "get_default_transposed_qconfig");
  QConfig config = get_default_qconfig(backend);
  if (is_fbgemm(backend)) config.weight = default_weight_observer();
  if (backend == "onednn") config.weight = default_per_channel_weight_observer(1);
  return config;
}

}  // namespace qconv

#pragma once

#include <string_view>

#include <qconv/observers.hpp>

namespace qconv {

/// Which observers watch a module: one for its output, one for its weight. An empty factory means none.
struct QConfig {
  ObserverFactory activation;
  ObserverFactory weight;
};

/// MinMaxObserver, quint8, range [0, 127].
QCONV_API ObserverFactory default_observer();
/// HistogramObserver, quint8, range [0, 127].
QCONV_API ObserverFactory default_histogram_observer();
/// MinMaxObserver, qint8, symmetric.
QCONV_API ObserverFactory default_weight_observer();
/// PerChannelMinMaxObserver, qint8, symmetric. The channels are dimension 0, right for a convolution; the
/// weight of a transposed convolution has its output channels in dimension 1.
QCONV_API ObserverFactory default_per_channel_weight_observer(int ch_axis = 0);
/// MinMaxObserver, qint8, symmetric, range [-127, 127], eps 2^-12.
QCONV_API ObserverFactory weight_observer_range_neg_127_to_127();
/// PerChannelMinMaxObserver, qint8, symmetric, range [-127, 127], eps 2^-12.
QCONV_API ObserverFactory per_channel_weight_observer_range_neg_127_to_127(int ch_axis = 0);
/// PlaceholderObserver, quint8, [0, 255], dynamic.
QCONV_API ObserverFactory default_dynamic_quant_observer();

/// default_observer and default_weight_observer.
QCONV_API QConfig default_qconfig();
/// default_observer and default_per_channel_weight_observer.
QCONV_API QConfig default_per_channel_qconfig();
/// default_dynamic_quant_observer and default_weight_observer.
QCONV_API QConfig default_dynamic_qconfig();
/// default_dynamic_quant_observer and default_per_channel_weight_observer.
QCONV_API QConfig per_channel_dynamic_qconfig();
/// HistogramObserver qint8 with eps 2^-12, and weight_observer_range_neg_127_to_127.
QCONV_API QConfig default_symmetric_qnnpack_qconfig();
/// The same with per_channel_weight_observer_range_neg_127_to_127.
QCONV_API QConfig default_per_channel_symmetric_qnnpack_qconfig();

/// PyTorch's configuration for a backend; the activations are quint8, watched by a HistogramObserver:
///   "x86", "fbgemm"  reduce_range, weights per channel;
///   "onednn"         the full range, weights per channel;
///   "qnnpack"        the full range, weights per tensor.
/// qconv's engines never saturate, so reduce_range costs a bit and gains nothing there: "onednn" fits them
/// best, the others give the numbers that a PyTorch user knows. Throws ValueError for another name.
QCONV_API QConfig get_default_qconfig(std::string_view backend = "x86");

/// The configuration that PyTorch's default mapping gives transposed convolutions: that of the backend, but
/// under "x86" and "fbgemm" with default_weight_observer, because their kernels refuse per-channel weights
/// there. qconv's do not: with default_per_channel_weight_observer(1) a transposed convolution may have them.
QCONV_API QConfig get_default_transposed_qconfig(std::string_view backend = "x86");

/// For quantization-aware training, whose weights and activations pass through a FakeQuantize.
///
/// default_fake_quant and default_weight_fake_quant.
QCONV_API QConfig default_qat_qconfig();
/// default_fused_act_fake_quant and default_fused_wt_fake_quant.
QCONV_API QConfig default_qat_qconfig_v2();
/// FusedMovingAvgObsFakeQuantize qint8 with eps 2^-12, and fused_wt_fake_quant_range_neg_127_to_127.
QCONV_API QConfig default_symmetric_qnnpack_qat_qconfig();
/// The same with fused_per_channel_wt_fake_quant_range_neg_127_to_127.
QCONV_API QConfig default_per_channel_symmetric_qnnpack_qat_qconfig();
/// PyTorch's configuration for a backend, with the ranges of get_default_qconfig: quint8 activations and
/// symmetric weights, per tensor under "qnnpack" and else per channel. Version 1 is made of
/// FusedMovingAvgObsFakeQuantize, version 0 of FakeQuantize. Throws ValueError for other names and versions.
QCONV_API QConfig get_default_qat_qconfig(std::string_view backend = "x86", int version = 1);

}  // namespace qconv

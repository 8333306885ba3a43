#include <qconv/observers/fake_quantize.hpp>
#include <qconv/observers/histogram.hpp>
#include <qconv/qconfig.hpp>

#include "support/check.hpp"

namespace qconv {
namespace {

// What presets are made of.
constexpr ObserverOptions kActivation{.quant_min = 0, .quant_max = 255};
constexpr ObserverOptions kReducedActivation{.reduce_range = true, .quant_min = 0, .quant_max = 255};
constexpr ObserverOptions kSignedActivation{
    .dtype = qint8, .quant_min = -128, .quant_max = 127, .eps = 0x1p-12};
constexpr ObserverOptions kWeight{
    .dtype = qint8, .qscheme = QScheme::per_tensor_symmetric, .quant_min = -128, .quant_max = 127};
constexpr ObserverOptions kNarrowWeight{.dtype = qint8,
                                        .qscheme = QScheme::per_tensor_symmetric,
                                        .quant_min = -127,
                                        .quant_max = 127,
                                        .eps = 0x1p-12};

constexpr ObserverOptions per_channel(ObserverOptions options) {
  options.qscheme = QScheme::per_channel_symmetric;
  return options;
}

ObserverFactory fixed(double scale, std::int64_t zero_point) {
  return with_args<FixedQParamsFakeQuantize>(FixedQParamsObserver(scale, zero_point));
}

}  // namespace

ObserverFactory default_fake_quant() { return with_args<FakeQuantize>(kReducedActivation); }

ObserverFactory default_weight_fake_quant() { return with_args<FakeQuantize>(kWeight); }

ObserverFactory default_per_channel_weight_fake_quant() {
  return with_args<FakeQuantize>(per_channel(kWeight));
}

ObserverFactory default_histogram_fake_quant() {
  return with_args<FakeQuantize>(with_args<HistogramObserver>(kReducedActivation));
}

ObserverFactory default_fused_act_fake_quant() {
  return with_args<FusedMovingAvgObsFakeQuantize>(kActivation);
}

ObserverFactory default_fused_wt_fake_quant() { return with_args<FusedMovingAvgObsFakeQuantize>(kWeight); }

ObserverFactory default_fused_per_channel_wt_fake_quant() {
  return with_args<FusedMovingAvgObsFakeQuantize>(per_channel(kWeight));
}

ObserverFactory fused_wt_fake_quant_range_neg_127_to_127() {
  return with_args<FusedMovingAvgObsFakeQuantize>(kNarrowWeight);
}

ObserverFactory fused_per_channel_wt_fake_quant_range_neg_127_to_127() {
  return with_args<FusedMovingAvgObsFakeQuantize>(per_channel(kNarrowWeight));
}

ObserverFactory default_fixed_qparams_range_0to1_fake_quant() { return fixed(1.0 / 256, 0); }

ObserverFactory default_fixed_qparams_range_neg1to1_fake_quant() { return fixed(2.0 / 256, 128); }

QConfig default_qat_qconfig() { return {default_fake_quant(), default_weight_fake_quant()}; }

QConfig default_qat_qconfig_v2() { return {default_fused_act_fake_quant(), default_fused_wt_fake_quant()}; }

QConfig default_symmetric_qnnpack_qat_qconfig() {
  return {with_args<FusedMovingAvgObsFakeQuantize>(kSignedActivation),
          fused_wt_fake_quant_range_neg_127_to_127()};
}

QConfig default_per_channel_symmetric_qnnpack_qat_qconfig() {
  return {with_args<FusedMovingAvgObsFakeQuantize>(kSignedActivation),
          fused_per_channel_wt_fake_quant_range_neg_127_to_127()};
}

QConfig get_default_qat_qconfig(std::string_view backend, int version) {
  check(version == 0 || version == 1, "get_default_qat_qconfig: version must be 0 or 1, got {}", version);
  const bool reduced = backend == "x86" || backend == "fbgemm";
  check(reduced || backend == "onednn" || backend == "qnnpack",
        "get_default_qat_qconfig: unknown backend '{}', expected x86, fbgemm, onednn or qnnpack", backend);
  const ObserverOptions& activation = reduced ? kReducedActivation : kActivation;
  const ObserverOptions weight = backend == "qnnpack" ? kWeight : per_channel(kWeight);
  if (version == 0) return {with_args<FakeQuantize>(activation), with_args<FakeQuantize>(weight)};
  return {with_args<FusedMovingAvgObsFakeQuantize>(activation),
          with_args<FusedMovingAvgObsFakeQuantize>(weight)};
}

}  // namespace qconv

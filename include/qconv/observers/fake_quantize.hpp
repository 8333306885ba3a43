#pragma once

#include <memory>
#include <string>

#include <qconv/observers/min_max.hpp>
#include <qconv/observers/observer.hpp>
#include <qconv/observers/placeholder.hpp>

namespace qconv {

/// Quantizes and dequantizes what passes, with the parameters that an observer inside works out: PyTorch's
/// `torch.ao.quantization.FakeQuantize`. It is an observer itself, so it stands wherever one is expected: as
/// the activation_post_process of a module, as the weight_fake_quant of one for quantization-aware training,
/// in a QConfig. Forward only: gradients are for the program that trains.
///
/// The options are the inner observer's. The saved state has fake_quant_enabled and observer_enabled (uint8,
/// 1 element), scale (float32) and zero_point (int32), 1 element or one per channel, and the observer's
/// entries under "activation_post_process.". merge() merges the observers inside.
class QCONV_API FakeQuantize : public Observer {
 public:
  /// Around a MovingAverageMinMaxObserver with these options.
  explicit FakeQuantize(const ObserverOptions& options = {});
  /// Around an observer of any class that has parameters.
  explicit FakeQuantize(const ObserverFactory& observer);
  FakeQuantize(const FakeQuantize& other);
  FakeQuantize& operator=(const FakeQuantize&) = delete;

  /// With the observer enabled: observes `x` and takes scale and zero point anew. Then, with fake
  /// quantization enabled, (clamp(rint(x / scale) + zero_point, quant_min, quant_max) - zero_point) * scale
  /// as fake_quantize_per_tensor_affine has it, else `x`.
  Tensor forward(const Tensor& x) override;

  /// The observer's parameters, by its formula: what conversion uses.
  ObservedQParams calculate_qparams() const override { return observer_->calculate_qparams(); }
  bool calibrated() const noexcept override { return observer_->calibrated(); }
  void reset() override;
  std::unique_ptr<Observer> clone() const override;

  void enable_fake_quant(bool enabled = true) noexcept { fake_quant_enabled_ = enabled; }
  void disable_fake_quant() noexcept { enable_fake_quant(false); }
  void enable_observer(bool enabled = true) noexcept { observer_enabled_ = enabled; }
  void disable_observer() noexcept { enable_observer(false); }
  bool fake_quant_enabled() const noexcept { return fake_quant_enabled_; }
  bool observer_enabled() const noexcept { return observer_enabled_; }

  /// What forward() quantizes with now; scale 1 and zero point 0 before anything was observed.
  const QParams& qparams() const noexcept { return qparams_; }
  /// The observer inside.
  const Observer& activation_post_process() const noexcept { return *observer_; }

 protected:
  FakeQuantize(std::string_view name, std::unique_ptr<Observer> observer);
  /// Takes the parameters that forward() uses from what was observed.
  virtual void choose() { set_qparams(calculate_qparams().qparams); }
  /// Of the saved flags.
  virtual DType flag_dtype() const noexcept { return uint8; }
  Tensor quantized(const Tensor& x) const;
  void set_qparams(QParams qparams) { qparams_ = std::move(qparams); }

  void observe_values(const Tensor& x) override;
  void merge_values(const Observer& other) override;
  void save_values(StateDict& state, const std::string& prefix) const override;
  void load_values(const StateDict& state) override;
  std::string extra_repr() const override;

 private:
  std::unique_ptr<Observer> observer_;
  QParams qparams_;
  bool fake_quant_enabled_ = true;
  bool observer_enabled_ = true;
};

/// PyTorch's FusedMovingAvgObsFakeQuantize: as FakeQuantize, but while training the parameters are those that
/// FBGEMM chooses for the moving average of the range (the error of the zero point least, a symmetric range
/// reaching from -128 to 127 steps), and they are chosen only while fake quantization is enabled.
/// calculate_qparams() still answers by the observer's formula. The flags are saved as int64.
class QCONV_API FusedMovingAvgObsFakeQuantize : public FakeQuantize {
 public:
  /// Around a MovingAverageMinMaxObserver, or for a per-channel scheme a
  /// MovingAveragePerChannelMinMaxObserver with ch_axis 0.
  explicit FusedMovingAvgObsFakeQuantize(const ObserverOptions& options = {});
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<Observer> clone() const override;

 protected:
  void choose() override;
  DType flag_dtype() const noexcept override { return int64; }
};

/// PyTorch's FixedQParamsFakeQuantize: parameters known beforehand.
class QCONV_API FixedQParamsFakeQuantize : public FakeQuantize {
 public:
  explicit FixedQParamsFakeQuantize(const FixedQParamsObserver& observer);
  std::unique_ptr<Observer> clone() const override;
};

/// FakeQuantize around a MovingAverageMinMaxObserver, quint8 with reduce_range; for activations.
QCONV_API ObserverFactory default_fake_quant();
/// FakeQuantize around a MovingAverageMinMaxObserver, qint8, symmetric.
QCONV_API ObserverFactory default_weight_fake_quant();
/// FakeQuantize around a MovingAveragePerChannelMinMaxObserver, qint8, symmetric.
QCONV_API ObserverFactory default_per_channel_weight_fake_quant();
/// FakeQuantize around a HistogramObserver, quint8 with reduce_range.
QCONV_API ObserverFactory default_histogram_fake_quant();
/// FusedMovingAvgObsFakeQuantize, quint8.
QCONV_API ObserverFactory default_fused_act_fake_quant();
/// FusedMovingAvgObsFakeQuantize, qint8, symmetric.
QCONV_API ObserverFactory default_fused_wt_fake_quant();
/// The same per channel.
QCONV_API ObserverFactory default_fused_per_channel_wt_fake_quant();
/// FusedMovingAvgObsFakeQuantize, qint8, symmetric, range [-127, 127], eps 2^-12.
QCONV_API ObserverFactory fused_wt_fake_quant_range_neg_127_to_127();
/// The same per channel.
QCONV_API ObserverFactory fused_per_channel_wt_fake_quant_range_neg_127_to_127();
/// Scale 1/256, zero point 0: the outputs of a sigmoid.
QCONV_API ObserverFactory default_fixed_qparams_range_0to1_fake_quant();
/// Scale 2/256, zero point 128: the outputs of a tanh.
QCONV_API ObserverFactory default_fixed_qparams_range_neg1to1_fake_quant();

}  // namespace qconv

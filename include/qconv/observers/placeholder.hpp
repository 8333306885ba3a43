#pragma once

#include <qconv/observers/observer.hpp>

namespace qconv {

/// Looks at nothing; says only which dtype a tensor is to have: float32 (leave it alone), or with is_dynamic
/// a quantized one whose parameters are chosen at run time. calculate_qparams() throws TypeError.
class QCONV_API PlaceholderObserver : public Observer {
 public:
  /// PyTorch's default is float32 here, which is why the default is not ObserverOptions{}.
  explicit PlaceholderObserver(const ObserverOptions& options = {.dtype = float32});

  ObservedQParams calculate_qparams() const override;
  /// True: there is nothing to wait for.
  bool calibrated() const noexcept override { return true; }
  void reset() override {}
  std::unique_ptr<Observer> clone() const override;

 protected:
  void observe_values(const Tensor&) override {}
  void merge_values(const Observer&) override {}
  void save_values(StateDict&, const std::string&) const override {}
  void load_values(const StateDict& state) override;
  std::string extra_repr() const override;
};

/// Parameters known beforehand, for functions with a fixed range. Per-tensor schemes only.
class QCONV_API FixedQParamsObserver : public Observer {
 public:
  /// The scale is kept as a float, as in PyTorch. Throws ValueError unless it is positive and finite and the
  /// zero point lies in [quant_min, quant_max].
  FixedQParamsObserver(double scale, std::int64_t zero_point, const ObserverOptions& options = {});

  ObservedQParams calculate_qparams() const override;
  bool calibrated() const noexcept override { return true; }
  void reset() override {}
  std::unique_ptr<Observer> clone() const override;

 protected:
  void observe_values(const Tensor&) override {}
  /// Nothing to add; throws ValueError when the other's parameters differ.
  void merge_values(const Observer& other) override;
  void save_values(StateDict& state, const std::string& prefix) const override;
  void load_values(const StateDict& state) override;
  std::string extra_repr() const override;

 private:
  float scale_;
  std::int64_t zero_point_;
};

/// Scale 1/256, zero point 0: the outputs of a sigmoid.
QCONV_API ObserverFactory default_fixed_qparams_range_0to1_observer();
/// Scale 2/256, zero point 128: the outputs of a tanh.
QCONV_API ObserverFactory default_fixed_qparams_range_neg1to1_observer();

}  // namespace qconv

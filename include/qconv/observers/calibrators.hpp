#pragma once

#include <qconv/observers/observer.hpp>
#include <qconv/observers/streaming_histogram.hpp>

namespace qconv {

/// What the calibrators share: a StreamingHistogram of all values seen, and a range chosen from it, from
/// which the parameters follow as at MinMaxObserver. Per-tensor schemes. Infinities are left out; observe()
/// throws ValueError for NaN.
///
/// merge() and merge_state() are exact: however the data was divided among observers, and in whatever order
/// these are merged, the result is the observer that saw it all, byte for byte.
///
/// The state: eps, counts (int64, 2 x bins: values above 0, then below), zeros and exponent (int64), min_val,
/// max_val. These classes are not PyTorch's. docs/numerics.md, "Calibrators", has the formulas.
class QCONV_API Calibrator : public Observer {
 public:
  /// The part of the real numbers that calculate_qparams() maps to the integers; it holds 0.
  struct Range {
    float min;
    float max;
  };

  ObservedQParams calculate_qparams() const override;
  bool calibrated() const noexcept override { return !histogram_.empty(); }
  void reset() override;
  const StreamingHistogram& histogram() const noexcept { return histogram_; }
  /// The range for what was seen; [0, 0] if nothing was.
  Range range() const;

 protected:
  Calibrator(std::string_view name, const ObserverOptions& options);
  /// The histogram is not empty.
  virtual Range choose() const = 0;
  void observe_values(const Tensor& x) override;
  void merge_values(const Observer& other) override;
  void save_values(StateDict& state, const std::string& prefix) const override;
  void load_values(const StateDict& state) override;
  std::string extra_repr() const override;

 private:
  StreamingHistogram histogram_;
};

/// The range that holds options.percentile percent of the values. Of data on both sides of 0, half of the
/// rest is cut off at each end; of data on one side, all of it at the far end. With a symmetric scheme the
/// range holds that share of the magnitudes. Between the edges of a bin, values count as spread evenly. When
/// all but the rest are 0, the range is that of all values.
class QCONV_API PercentileObserver : public Calibrator {
 public:
  /// Throws TypeError for a per-channel scheme, ValueError for bins or a percentile out of range.
  explicit PercentileObserver(const ObserverOptions& options = {});
  std::unique_ptr<Observer> clone() const override;

 protected:
  Range choose() const override;
  std::string extra_repr() const override;
};

/// The range that loses the least information in the sense of Kullback and Leibler: among all thresholds t at
/// an edge of a bin, the one that minimizes the divergence of the histogram limited to [-t, t] from what
/// quant_max - quant_min + 1 levels can show of it. TensorRT's idea, for one- and two-sided data. It needs
/// more than a thousand values to say much, and cuts off no range with fewer bins than levels.
class QCONV_API EntropyObserver : public Calibrator {
 public:
  /// Throws TypeError for a per-channel scheme, ValueError for bins out of range.
  explicit EntropyObserver(const ObserverOptions& options = {});
  std::unique_ptr<Observer> clone() const override;

 protected:
  Range choose() const override;
};

/// The range with the least mean square error of quantizing, values counted as spread evenly in their bin. Of
/// one-sided data and of symmetric schemes every edge of a bin is tried; of data on both sides of 0, first
/// every [-t, t], and from the best of these each end in turn, until neither can be moved to advantage.
class QCONV_API MSEObserver : public Calibrator {
 public:
  /// Throws TypeError for a per-channel scheme, ValueError for bins out of range.
  explicit MSEObserver(const ObserverOptions& options = {});
  std::unique_ptr<Observer> clone() const override;

 protected:
  Range choose() const override;
};

}  // namespace qconv

#pragma once

#include <span>
#include <vector>

#include <qconv/observers/observer.hpp>

namespace qconv {

/// The smallest and largest value seen, for per-tensor schemes. NaN stays. merge() is exact: two observers
/// that saw half of the data each become the one that saw it all.
///
/// The parameters, in float32, with lo = min(min_val, 0) and hi = max(max_val, 0):
///   affine     scale = max((hi - lo) / (quant_max - quant_min), eps),
///              zero_point = clamp(quant_min - rint(lo / scale), quant_min, quant_max);
///   symmetric  scale = max(max(-lo, hi) / ((quant_max - quant_min) / 2), eps),
///              zero_point = 0, but for quint8 128, or the middle of a range of your own, rounded down.
class QCONV_API MinMaxObserver : public Observer {
 public:
  /// Throws TypeError for a per-channel scheme, ValueError for options that do not fit each other.
  explicit MinMaxObserver(const ObserverOptions& options = {});

  ObservedQParams calculate_qparams() const override;
  bool calibrated() const noexcept override;
  void reset() override;
  std::unique_ptr<Observer> clone() const override;

  /// +infinity and -infinity before anything was seen.
  float min_val() const noexcept { return min_; }
  float max_val() const noexcept { return max_; }

 protected:
  MinMaxObserver(std::string_view name, const ObserverOptions& options);
  void observe_values(const Tensor& x) override;
  void merge_values(const Observer& other) override;
  void save_values(StateDict& state, const std::string& prefix) const override;
  void load_values(const StateDict& state) override;
  std::string extra_repr() const override;
  void set_range(float min, float max) noexcept;

 private:
  float min_;
  float max_;
};

/// A moving average of each batch's minimum and maximum: the first batch sets them, later ones move them by
/// averaging_constant * (batch's - average), in float32.
///
/// The order of the batches matters to a moving average, so no merge can equal a single pass. Here it is the
/// mean of the two averages, weighted by how many batches each saw; a state that was loaded counts as one
/// batch.
class QCONV_API MovingAverageMinMaxObserver : public MinMaxObserver {
 public:
  explicit MovingAverageMinMaxObserver(const ObserverOptions& options = {});

  void reset() override;
  std::unique_ptr<Observer> clone() const override;
  std::int64_t batches() const noexcept { return batches_; }

 protected:
  void observe_values(const Tensor& x) override;
  void merge_values(const Observer& other) override;
  void load_values(const StateDict& state) override;

 private:
  std::int64_t batches_ = 0;
};

/// MinMaxObserver for each index of dimension ch_axis, for per-channel schemes. merge() is exact.
class QCONV_API PerChannelMinMaxObserver : public Observer {
 public:
  /// Throws TypeError for a per-tensor scheme. observe() throws ValueError when a tensor lacks the dimension
  /// ch_axis or has another number of channels than the ones before.
  explicit PerChannelMinMaxObserver(const ObserverOptions& options = {});

  ObservedQParams calculate_qparams() const override;
  bool calibrated() const noexcept override { return !min_.empty(); }
  void reset() override;
  std::unique_ptr<Observer> clone() const override;

  /// One per channel; empty before anything was seen.
  std::span<const float> min_val() const noexcept { return min_; }
  std::span<const float> max_val() const noexcept { return max_; }

 protected:
  PerChannelMinMaxObserver(std::string_view name, const ObserverOptions& options);
  void observe_values(const Tensor& x) override;
  void merge_values(const Observer& other) override;
  void save_values(StateDict& state, const std::string& prefix) const override;
  void load_values(const StateDict& state) override;
  std::string extra_repr() const override;
  void set_range(std::vector<float> min, std::vector<float> max) noexcept;
  /// Throws ValueError unless it is the number seen before.
  void check_channels(std::size_t count) const;

 private:
  std::vector<float> min_;
  std::vector<float> max_;
};

/// MovingAverageMinMaxObserver for each index of dimension ch_axis; merges in the same way.
class QCONV_API MovingAveragePerChannelMinMaxObserver : public PerChannelMinMaxObserver {
 public:
  explicit MovingAveragePerChannelMinMaxObserver(const ObserverOptions& options = {});

  void reset() override;
  std::unique_ptr<Observer> clone() const override;
  std::int64_t batches() const noexcept { return batches_; }

 protected:
  void observe_values(const Tensor& x) override;
  void merge_values(const Observer& other) override;
  void load_values(const StateDict& state) override;

 private:
  std::int64_t batches_ = 0;
};

}  // namespace qconv

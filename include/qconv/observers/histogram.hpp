#pragma once

#include <span>
#include <vector>

#include <qconv/observers/observer.hpp>

namespace qconv {

/// A histogram of all values seen, over the range seen. calculate_qparams() narrows that range, from the
/// outside in, while the mean square error of quantizing the histogram's contents to 256 levels falls, and
/// goes on from there as MinMaxObserver. PyTorch's algorithm of versions 2.3 and later, to the bit
/// (docs/numerics.md, "Observers").
///
/// Infinities are left out; observe() throws ValueError for NaN. Values go straight into the bins: memory is
/// `bins` floats whatever the size of the data. Counts are float32, as in PyTorch: past 2^24 they round.
///
/// When a batch widens the range, each old bin is spread evenly over it and falls into the new bins in 16
/// pieces. merge() does that to the histograms of both observers. So:
/// - the range is that of a single pass exactly, and so is the total count up to float32 rounding;
/// - if both saw the same range, the histogram equals that of a single pass (below 2^24 per bin);
/// - otherwise, let W be the width of a merged bin. A histogram whose bins were respread k times holds each
///   value within (k + 1) * W of where it belongs (the pieces of a bin fall into bins that it touches, and
///   bins only get wider). Hence the number of values below any bin edge x lies between the true numbers
///   below x - (k + 1) * W and below x + (k + 1) * W; k = 1 when neither observer widened its range after its
///   first batch.
/// No bound follows for the scale beyond scale <= range / (quant_max - quant_min): the search stops at the
/// first rise of the error, which a small shift of mass can move.
class QCONV_API HistogramObserver : public Observer {
 public:
  /// Throws TypeError for a per-channel scheme, ValueError for bins out of range.
  explicit HistogramObserver(const ObserverOptions& options = {});

  ObservedQParams calculate_qparams() const override;
  bool calibrated() const noexcept override;
  void reset() override;
  std::unique_ptr<Observer> clone() const override;

  /// +infinity and -infinity before anything was seen.
  float min_val() const noexcept { return min_; }
  float max_val() const noexcept { return max_; }
  int bins() const noexcept { return options().bins; }
  /// How many values fell into each bin; fractions after the range was widened.
  std::span<const float> histogram() const noexcept { return counts_; }

 protected:
  void observe_values(const Tensor& x) override;
  void merge_values(const Observer& other) override;
  void save_values(StateDict& state, const std::string& prefix) const override;
  void load_values(const StateDict& state) override;
  std::string extra_repr() const override;

 private:
  std::vector<float> counts_;
  float min_;
  float max_;
};

}  // namespace qconv

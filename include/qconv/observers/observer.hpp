#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <qconv/dtype.hpp>
#include <qconv/export.hpp>
#include <qconv/qparams.hpp>
#include <qconv/state_dict.hpp>
#include <qconv/tensor.hpp>

namespace qconv {

/// PyTorch's arguments of an observer, one struct for all classes; a class reads those that concern it.
struct ObserverOptions {
  /// What to quantize to: quint8, qint8 or qint32. A PlaceholderObserver takes any dtype.
  DType dtype = quint8;
  /// Not given: per_channel_affine for the per-channel classes, per_tensor_affine for the others.
  std::optional<QScheme> qscheme{};
  /// Leave out one bit: [0, 127] or [-64, 63], or half of a range of your own.
  bool reduce_range = false;
  /// A range of your own inside the dtype's: both or neither; it must hold 0.
  std::optional<std::int64_t> quant_min{};
  std::optional<std::int64_t> quant_max{};
  /// The smallest scale, a positive float; 2^-23 unless given.
  double eps = 0x1p-23;
  /// Per-channel classes: the dimension of the channels, 0 or more.
  int ch_axis = 0;
  /// Moving-average classes: the weight of the newest batch, in (0, 1].
  double averaging_constant = 0.01;
  /// Classes with a histogram: how many bins, 1 to 2^20; the calibrators have so many on either side of 0.
  int bins = 2048;
  /// PercentileObserver: how many percent of the values the range is to hold, in (0, 100].
  double percentile = 99.99;
  /// PlaceholderObserver: the tensor is quantized at run time, with the range that it has then.
  bool is_dynamic = false;

  friend bool operator==(const ObserverOptions&, const ObserverOptions&) = default;
};

/// What an observer has found.
struct ObservedQParams {
  QParams qparams;
  /// The scheme that was asked for; the parameters of a symmetric one are affine with a fixed zero point.
  QScheme qscheme = QScheme::per_tensor_affine;
  DType dtype = quint8;
};

/// Watches tensors and works out quantization parameters from what it saw. Not safe to observe from two
/// threads at once; give each thread one and merge them. The results do not depend on the number of threads
/// or the memory format of the tensors.
class QCONV_API Observer {
 public:
  virtual ~Observer();

  /// Takes note of the values of a float32 tensor, or skips it when it has none. The tensor is not kept.
  /// Throws TypeError for another dtype, ValueError when the class says so.
  void observe(const Tensor& x);

  /// Observes, and gives what the module that is watched is to give instead of `x`: `x` itself, unless the
  /// class says otherwise (FakeQuantize).
  virtual Tensor forward(const Tensor& x) {
    observe(x);
    return x;
  }

  /// The parameters for all that was seen. Scales are float32 values, at least eps. An observer that saw
  /// nothing answers scale 1 and zero point 0, as PyTorch does: ask calibrated() first. Throws ValueError
  /// when NaN or infinity was seen, or a minimum is greater than its maximum.
  virtual ObservedQParams calculate_qparams() const = 0;

  /// Whether calculate_qparams() rests on anything.
  virtual bool calibrated() const noexcept = 0;

  /// Adds what `other` saw, as each class documents. Throws TypeError unless it has the same class and
  /// options.
  void merge(const Observer& other);
  /// The same for an observer of this class and these options that is somewhere else, in another process or
  /// on another machine, and sent what its state_dict() says. Throws as load_state_dict() does, and
  /// ValueError for another eps; then nothing has changed.
  void merge_state(const StateDict& state, std::string_view prefix = "");

  /// Forgets everything.
  virtual void reset() = 0;
  virtual std::unique_ptr<Observer> clone() const = 0;

  /// The state under PyTorch's names (eps, min_val, max_val, histogram), each after `prefix`.
  StateDict state_dict(std::string_view prefix = "") const;
  /// Takes the entries that begin with `prefix`. Reads PyTorch's files back to version 1: min_vals and
  /// max_vals for min_val and max_val, an empty tensor for "saw nothing", no eps. Throws ValueError or
  /// TypeError that names the entry when one is missing, unknown or of another shape or dtype; then nothing
  /// has changed.
  void load_state_dict(const StateDict& state, std::string_view prefix = "");

  /// PyTorch's class name.
  std::string_view name() const noexcept { return name_; }
  /// "MinMaxObserver(dtype=quint8, qscheme=per_tensor_affine, min_val=-1, max_val=2)".
  std::string to_string() const;

  const ObserverOptions& options() const noexcept { return options_; }
  DType dtype() const noexcept { return options_.dtype; }
  QScheme qscheme() const noexcept { return *options_.qscheme; }
  /// The range that the parameters aim at, after reduce_range.
  std::int64_t quant_min() const noexcept { return quant_min_; }
  std::int64_t quant_max() const noexcept { return quant_max_; }
  /// The channel dimension; per-channel classes only.
  int ch_axis() const noexcept { return options_.ch_axis; }
  double eps() const noexcept { return options_.eps; }
  bool reduce_range() const noexcept { return options_.reduce_range; }
  bool is_dynamic() const noexcept { return options_.is_dynamic; }

 protected:
  /// Checks the options and fills in the default scheme. Throws ValueError or TypeError in the name of
  /// `name`.
  Observer(std::string_view name, const ObserverOptions& options, QScheme default_scheme);
  Observer(const Observer&) = default;
  Observer& operator=(const Observer&) = default;

  /// `x` is float32 and has elements.
  virtual void observe_values(const Tensor& x) = 0;
  /// `other` has this class and these options, and is calibrated.
  virtual void merge_values(const Observer& other) = 0;
  /// Adds the entries, each name after `prefix`.
  virtual void save_values(StateDict& state, const std::string& prefix) const = 0;
  /// Reads the entries, already under their newest names. Must not change anything if it throws.
  virtual void load_values(const StateDict& state) = 0;
  /// Adds the entry eps; classes that use it begin save_values with this.
  void save_eps(StateDict& state, const std::string& prefix) const;
  /// What to_string shows after the options: "min_val=-1, max_val=2".
  virtual std::string extra_repr() const = 0;

 private:
  std::string_view name_;  // a literal
  ObserverOptions options_;
  std::int64_t quant_min_;
  std::int64_t quant_max_;
};

/// Makes a fresh observer; what a QConfig holds.
using ObserverFactory = std::function<std::unique_ptr<Observer>()>;

/// A factory of observers of class O with these arguments: PyTorch's `O.with_args(...)`. Throws as the
/// constructor of O does, at once.
template <class O, class... Args>
ObserverFactory with_args(Args&&... args) {
  return [prototype = O(std::forward<Args>(args)...)] { return prototype.clone(); };
}
template <class O>
ObserverFactory with_args(const ObserverOptions& options) {
  return [prototype = O(options)] { return prototype.clone(); };
}

}  // namespace qconv

#pragma once

#include <optional>
#include <string>

#include <qconv/nn/module.hpp>

namespace qconv::nn {

/// The arguments of a batch normalization, in PyTorch's order.
struct BatchNormOptions {
  std::int64_t num_features = 0;
  double eps = 1e-5;
  /// The weight of the newest batch in the running statistics; nothing: the mean over all batches.
  std::optional<double> momentum = 0.1;
  bool affine = true;
  bool track_running_stats = true;
};

/// What all batch normalizations share: y = (x - mean) / sqrt(var + eps) * weight + bias per channel
/// (dimension 1). In training, or without running statistics, mean and variance are the batch's; otherwise
/// the running ones. In training with statistics, forward() moves these, in place, by momentum * (batch's -
/// running), the variance unbiased; copies of a module share them.
class QCONV_API BatchNorm : public Module {
 public:
  std::optional<Tensor> weight;               ///< float32, ones at first; with affine
  std::optional<Tensor> bias;                 ///< float32, zeros at first; with affine
  std::optional<Tensor> running_mean;         ///< float32, with track_running_stats
  std::optional<Tensor> running_var;          ///< float32, with track_running_stats
  std::optional<Tensor> num_batches_tracked;  ///< int64, one number, with track_running_stats
  double eps;
  std::optional<double> momentum;

  std::int64_t num_features() const noexcept { return options_.num_features; }
  bool affine() const noexcept { return options_.affine; }
  bool track_running_stats() const noexcept { return options_.track_running_stats; }

  /// Mean 0, variance 1, no batches.
  void reset_running_stats();
  /// That, and weight 1, bias 0.
  void reset_parameters();

  /// float32 in and out. Throws ValueError or TypeError in the module's name; in training also for a batch of
  /// one value per channel.
  Tensor forward(const Tensor& input) const;

  std::string name() const override;
  std::string extra_repr() const override;

 protected:
  BatchNorm(int ndim, const BatchNormOptions& options);
  void unshare() override;
  void save(StateDict& state, const std::string& prefix) const override;
  /// num_batches_tracked may be missing: files from before PyTorch 0.4.1 have none.
  void read(StateReader& reader, const std::string& prefix) override;

 private:
  Tensor normalized_by_batch(const Tensor& input) const;

  int ndim_;
  BatchNormOptions options_;
};

/// The constructors of one class.
template <class Self, int N>
class BatchNormOf : public ModuleOf<Self, BatchNorm> {
 public:
  static constexpr int kDims = N;
  /// (num_features, eps, momentum, affine, track_running_stats). Throws ValueError for values out of range.
  explicit BatchNormOf(std::int64_t num_features, double epsilon = 1e-5,
                       std::optional<double> newest_weight = 0.1, bool affine = true,
                       bool track_running_stats = true)
      : BatchNormOf(BatchNormOptions{num_features, epsilon, newest_weight, affine, track_running_stats}) {}
  explicit BatchNormOf(const BatchNormOptions& options) : ModuleOf<Self, BatchNorm>(N, options) {}
};

/// PyTorch's `torch.nn.BatchNorm1d`; inputs are (N, C) or (N, C, L).
class QCONV_API BatchNorm1d final : public BatchNormOf<BatchNorm1d, 1> {
 public:
  using BatchNormOf::BatchNormOf;
};
/// PyTorch's `torch.nn.BatchNorm2d`; inputs are (N, C, H, W).
class QCONV_API BatchNorm2d final : public BatchNormOf<BatchNorm2d, 2> {
 public:
  using BatchNormOf::BatchNormOf;
};
/// PyTorch's `torch.nn.BatchNorm3d`; inputs are (N, C, D, H, W).
class QCONV_API BatchNorm3d final : public BatchNormOf<BatchNorm3d, 3> {
 public:
  using BatchNormOf::BatchNormOf;
};

}  // namespace qconv::nn

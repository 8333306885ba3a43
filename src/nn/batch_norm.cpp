#include <algorithm>
#include <cmath>

#include <qconv/functional.hpp>
#include <qconv/nn/batch_norm.hpp>

#include "nn/python_repr.hpp"
#include "nn/state_reader.hpp"
#include "support/check.hpp"

namespace qconv::nn {
namespace {

Tensor ones(std::int64_t count) {
  return Tensor::from_data(std::vector<float>(static_cast<std::size_t>(count), 1.0F), {count});
}

// running = (1 - weight) * running + weight * batch, in place.
void move_towards(Tensor running, const Tensor& batch, double weight, double batch_factor) {
  auto* to = running.mutable_data<float>();
  const auto* from = batch.data<float>();
  for (std::int64_t i = 0; i < running.numel(); ++i) {
    const double value = from[i] * batch_factor;
    to[i] = static_cast<float>(weight * value + (1 - weight) * to[i]);
  }
}

std::optional<Tensor> cloned(const std::optional<Tensor>& tensor) {
  return tensor ? std::optional(tensor->clone()) : std::nullopt;
}

void save_if(StateDict& state, const std::string& key, const std::optional<Tensor>& tensor) {
  if (tensor) state.set(key, tensor->clone());
}

}  // namespace

BatchNorm::BatchNorm(int ndim, const BatchNormOptions& options)
    : eps(options.eps), momentum(options.momentum), ndim_(ndim), options_(options) {
  const std::string who = name();
  check(options.num_features > 0, "{}: num_features must be positive, got {}", who, options.num_features);
  check(eps >= 0 && std::isfinite(eps), "{}: eps must not be negative, got {}", who, eps);
  check(!momentum || (*momentum >= 0 && *momentum <= 1), "{}: momentum must be in [0, 1], got {}", who,
        momentum.value_or(0));
  reset_parameters();
}

void BatchNorm::reset_running_stats() {
  if (!track_running_stats()) return;
  running_mean = Tensor::zeros({num_features()}, float32);
  running_var = ones(num_features());
  num_batches_tracked = Tensor::scalar(std::int64_t{0});
}

void BatchNorm::reset_parameters() {
  reset_running_stats();
  if (!affine()) return;
  weight = ones(num_features());
  bias = Tensor::zeros({num_features()}, float32);
}

Tensor BatchNorm::normalized_by_batch(const Tensor& input) const {
  const std::int64_t count = input.numel() / num_features();
  check(!training || count > 1, "{}: Expected more than 1 value per channel when training, got sizes {}",
        name(), input.sizes());
  check(count > 0, "{}: the batch's statistics need values, got sizes {}", name(), input.sizes());
  const auto [mean, variance] = functional::channel_statistics(input);
  if (training && running_mean && running_var) {
    double newest = momentum.value_or(0);
    if (num_batches_tracked) {
      Tensor batches = *num_batches_tracked;
      const std::int64_t now = ++*batches.mutable_data<std::int64_t>();
      if (!momentum) newest = 1.0 / static_cast<double>(now);
    }
    move_towards(*running_mean, mean, newest, 1);
    move_towards(*running_var, variance, newest, static_cast<double>(count) / static_cast<double>(count - 1));
  }
  return functional::batch_norm(input, mean, variance, weight, bias, eps);
}

Tensor BatchNorm::forward(const Tensor& input) const {
  const std::string who = name();
  check(input.defined(), "{}: the input is undefined", who);
  check<TypeError>(input.dtype() == float32, "{}: expected a float32 tensor, got {}", who,
                   qconv::to_string(input.dtype()));
  check(input.dim() == ndim_ + 2 || (ndim_ == 1 && input.dim() == 2), "{}: expected {}D input, got sizes {}",
        who, ndim_ == 1 ? "2D or 3" : std::to_string(ndim_ + 2), input.sizes());
  check(input.size(1) == num_features(), "{}: expected {} channels, got sizes {}", who, num_features(),
        input.sizes());
  if (training || !running_mean || !running_var) return observed(normalized_by_batch(input));
  return observed(functional::batch_norm(input, *running_mean, *running_var, weight, bias, eps));
}

std::string BatchNorm::name() const { return fmt::format("BatchNorm{}d", ndim_); }

std::string BatchNorm::extra_repr() const {
  return fmt::format("{}, eps={}, momentum={}, affine={}, track_running_stats={}", num_features(),
                     python_float(eps), momentum ? python_float(*momentum) : "None", python_bool(affine()),
                     python_bool(track_running_stats()));
}

void BatchNorm::unshare() {
  Module::unshare();
  for (std::optional<Tensor>* tensor : {&weight, &bias, &running_mean, &running_var, &num_batches_tracked})
    *tensor = cloned(*tensor);
}

void BatchNorm::save(StateDict& state, const std::string& prefix) const {
  save_if(state, prefix + "weight", weight);
  save_if(state, prefix + "bias", bias);
  save_if(state, prefix + "running_mean", running_mean);
  save_if(state, prefix + "running_var", running_var);
  save_if(state, prefix + "num_batches_tracked", num_batches_tracked);
}

void BatchNorm::read(StateReader& reader, const std::string& prefix) {
  reader.take(prefix + "weight", weight);
  reader.take(prefix + "bias", bias);
  reader.take(prefix + "running_mean", running_mean);
  reader.take(prefix + "running_var", running_var);
  if (!num_batches_tracked) return;
  const Tensor* batches = reader.optional_tensor(prefix + "num_batches_tracked", int64, {}, false);
  if (batches != nullptr && batches->defined())
    reader.then([this, batches] { num_batches_tracked = batches->clone(); });
}

}  // namespace qconv::nn

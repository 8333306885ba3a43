#include "nn/state_reader.hpp"

#include <algorithm>
#include <cmath>

#include "support/check.hpp"

namespace qconv::nn {
namespace {

std::string describe(const Tensor& t) {
  return t.defined() ? fmt::format("{} {}", to_string(t.dtype()), t.sizes().to_string()) : "None";
}

}  // namespace

const Tensor* StateReader::find(const std::string& key) {
  known_.push_back(prefix_ + key);
  const Tensor* found = state_.find(known_.back());
  for (const auto& [older, newer] : renamed_) {
    if (found != nullptr || newer != key) continue;
    found = state_.find(prefix_ + older);
    if (found != nullptr) known_.push_back(prefix_ + older);
  }
  return found;
}

void StateReader::mismatch(const std::string& key, const std::string& why) {
  result_.mismatched.push_back(fmt::format("{}{}: {}", prefix_, key, why));
}

const Tensor* StateReader::optional_tensor(const std::string& key, DType dtype, const Shape& sizes,
                                           bool required) {
  const Tensor* found = find(key);
  if (found == nullptr) {
    if (required) result_.missing_keys.push_back(prefix_ + key);
    return nullptr;
  }
  if (found->defined() && (found->dtype() != dtype || found->sizes() != sizes)) {
    mismatch(key,
             fmt::format("got {}, expected {} {}", describe(*found), to_string(dtype), sizes.to_string()));
    return nullptr;
  }
  return found;
}

const Tensor* StateReader::tensor(const std::string& key, DType dtype, const Shape& sizes) {
  const Tensor* found = optional_tensor(key, dtype, sizes, true);
  if (found != nullptr && !found->defined()) {
    mismatch(key, fmt::format("got None, expected {} {}", to_string(dtype), sizes.to_string()));
    return nullptr;
  }
  return found;
}

const Tensor* StateReader::numbers(const std::string& key, std::int64_t most) {
  const Tensor* found = find(key);
  if (found == nullptr) {
    result_.missing_keys.push_back(prefix_ + key);
    return nullptr;
  }
  if (!found->defined() || found->is_quantized() || found->numel() < 1 || found->numel() > most) {
    mismatch(key, fmt::format("got {}, expected {}", describe(*found),
                              most == 1 ? "one number" : fmt::format("1 to {} numbers", most)));
    return nullptr;
  }
  return found;
}

std::optional<double> StateReader::number(const std::string& key, double low, double high, bool whole) {
  const Tensor* found = numbers(key, 1);
  if (found == nullptr) return std::nullopt;
  const double value = found->item();
  if (value >= low && value <= high && !(whole && value != std::floor(value))) return value;
  mismatch(key, fmt::format("got {}, expected {} in [{}, {}]", value, whole ? "an integer" : "a number", low,
                            high));
  return std::nullopt;
}

void StateReader::take(const std::string& key, Tensor& target) {
  const Tensor* found = tensor(key, target.dtype(), target.sizes());
  if (found != nullptr) then([&target, found] { target = found->clone(); });
}

void StateReader::take(const std::string& key, std::optional<Tensor>& target) {
  if (target) take(key, *target);
}

void StateReader::take_observer(const std::string& key_prefix, Observer* observer) {
  if (observer == nullptr) return;
  const std::string prefix = prefix_ + key_prefix;
  bool any = false;
  for (const auto& [key, tensor] : state_) {
    if (!key.starts_with(prefix)) continue;
    known_.push_back(key);
    any = true;
  }
  if (!any) {
    for (const auto& [key, tensor] : observer->state_dict(prefix)) result_.missing_keys.push_back(key);
    return;
  }
  try {
    observer->clone()->load_state_dict(state_, prefix);
  } catch (const Error& error) {
    mismatch(key_prefix.substr(0, key_prefix.size() - 1), error.what());
    return;
  }
  then([this, observer, prefix] { observer->load_state_dict(state_, prefix); });
}

LoadResult StateReader::finish(const std::string& who, bool strict) {
  for (const auto& [key, tensor] : state_) {
    if (key.starts_with(prefix_) && std::find(known_.begin(), known_.end(), key) == known_.end())
      result_.unexpected_keys.push_back(key);
  }
  check(!strict || result_.ok(), "{}.load_state_dict: {}", who, result_.to_string());
  for (const auto& action : actions_) action();
  return result_;
}

void save_observer(StateDict& state, const Observer* observer, const std::string& prefix) {
  if (observer == nullptr) return;
  for (const auto& [key, tensor] : observer->state_dict(prefix)) state.set(key, tensor);
}

}  // namespace qconv::nn

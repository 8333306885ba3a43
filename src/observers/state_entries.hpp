#pragma once

/// Reading an observer's saved state, entry by entry.

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include <qconv/state_dict.hpp>

#include "support/check.hpp"

namespace qconv {

/// Throws ValueError unless the state has these entries and no others, each defined.
inline void check_entries(const StateDict& state, std::initializer_list<std::string_view> expected,
                          std::string_view who) {
  for (const std::string_view name : expected) {
    const Tensor* tensor = state.find(name);
    check(tensor != nullptr && tensor->defined(), "{}: the state has no {}", who, name);
  }
  for (const auto& [name, tensor] : state) {
    check(std::find(expected.begin(), expected.end(), name) != expected.end(),
          "{}: unexpected {} in the state", who, name);
  }
}

/// The float32 values of an entry that is there; TypeError for another dtype.
inline std::vector<float> float_entry(const StateDict& state, std::string_view name, std::string_view who) {
  const Tensor& tensor = *state.find(name);
  check<TypeError>(tensor.dtype() == float32, "{}: {} in the state must be float32, got {}", who, name,
                   to_string(tensor.dtype()));
  return tensor.to_vector<float>();
}

/// The value of an entry with one element, or `empty` for one with none (how PyTorch before version 3 saved
/// an observer that saw nothing).
inline float scalar_entry(const StateDict& state, std::string_view name, float empty, std::string_view who) {
  const std::vector<float> values = float_entry(state, name, who);
  check(values.size() <= 1, "{}: {} in the state must be one number, got sizes {}", who, name,
        state.find(name)->sizes().to_string());
  return values.empty() ? empty : values[0];
}

}  // namespace qconv

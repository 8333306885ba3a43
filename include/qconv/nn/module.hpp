#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <qconv/export.hpp>
#include <qconv/state_dict.hpp>

namespace qconv::nn {

/// What loading a state dict found: every problem, not the first one alone.
struct QCONV_API LoadResult {
  std::vector<std::string> missing_keys;     ///< wanted by the module and not there
  std::vector<std::string> unexpected_keys;  ///< there, under the module's prefix, and not known to it
  std::vector<std::string> mismatched;       ///< there and unusable: "KEY: got ..., expected ..."

  bool ok() const noexcept { return missing_keys.empty() && unexpected_keys.empty() && mismatched.empty(); }
  /// All of it in one line; empty when there is nothing to say.
  std::string to_string() const;
};

/// What all modules have: a name and a saved state. PyTorch's `nn.Module`, as far as convolutions need it.
class QCONV_API Module {
 public:
  virtual ~Module() = default;

  /// The class name that PyTorch prints: "Conv2d", "QuantizedConvReLU2d".
  virtual std::string name() const = 0;
  /// The attributes that PyTorch prints between the parentheses.
  virtual std::string extra_repr() const = 0;
  /// "QuantizedConv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), scale=1.0, zero_point=0)".
  std::string to_string() const { return name() + "(" + extra_repr() + ")"; }

  /// The module's tensors by name, each name with `prefix` ("layer1.") in front. They share no memory with
  /// the module.
  StateDict state_dict(std::string_view prefix = {}) const;
  /// Takes the tensors named `prefix` + key, copied. With `strict` anything missing, unexpected or of the
  /// wrong dtype, sizes or value is a ValueError that lists all of it, and the module stays as it was;
  /// without, whatever fits is loaded and the rest reported.
  LoadResult load_state_dict(const StateDict& state, std::string_view prefix = {}, bool strict = true);

  /// PyTorch's flag. No convolution computes differently for it; it is part of the saved state.
  bool training = true;

 protected:
  Module() = default;
  Module(const Module&) = default;
  Module& operator=(const Module&) = default;

  virtual void save(StateDict& state, const std::string& prefix) const = 0;
  virtual LoadResult load(const StateDict& state, const std::string& prefix, bool strict) = 0;
};

}  // namespace qconv::nn

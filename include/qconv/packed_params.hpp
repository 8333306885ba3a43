#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <qconv/conv_problem.hpp>
#include <qconv/export.hpp>
#include <qconv/tensor.hpp>

namespace qconv {

/// Which of PyTorch's engines the requantization follows, to the bit. `fbgemm` keeps the bias in float;
/// `qnnpack` quantizes it to int32 first. See docs/numerics.md.
enum class RequantRule { fbgemm, qnnpack };

/// Weights packed for an engine, with bias and geometry: what `conv*_prepack` returns and the operators run.
/// Immutable; one object may be run from many threads at once.
class QCONV_API ConvPackedParams {
 public:
  ~ConvPackedParams();
  ConvPackedParams(const ConvPackedParams&) = delete;
  ConvPackedParams& operator=(const ConvPackedParams&) = delete;

  /// Copies of the weight as it was given, and of the bias (float32) if there is one.
  std::pair<Tensor, std::optional<Tensor>> unpack() const;
  const Tensor& weight() const noexcept;
  const std::optional<Tensor>& bias() const noexcept;

  const ConvGeometry& geometry() const noexcept;
  std::vector<std::int64_t> stride() const;
  /// One value per dimension; two (all begins, then all ends) when the sides differ.
  std::vector<std::int64_t> padding() const;
  std::vector<std::int64_t> output_padding() const;
  std::vector<std::int64_t> dilation() const;
  std::int64_t groups() const noexcept;
  bool transpose() const noexcept;
  RequantRule rule() const noexcept;
  /// The engine that packed the weights and runs them.
  std::string_view engine() const noexcept;
  /// The kernel that runs these weights, as `qconv bench` and `qconv info` name it; where the input's size
  /// decides, the one of the last new size.
  std::string kernel() const;

  struct Impl;
  explicit ConvPackedParams(std::unique_ptr<Impl> impl);
  const Impl& impl() const noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// What the operators pass around: shared, as the object never changes.
using PackedParams = std::shared_ptr<const ConvPackedParams>;

}  // namespace qconv

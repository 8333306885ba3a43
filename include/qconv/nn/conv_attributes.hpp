#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <qconv/conv_problem.hpp>
#include <qconv/export.hpp>
#include <qconv/int_list.hpp>
#include <qconv/tensor.hpp>

namespace qconv::nn {

/// A padding mode as an argument: the enumerator, or PyTorch's name of it.
class QCONV_API PaddingModeArg {
 public:
  PaddingModeArg(PaddingMode mode) : mode_(mode) {}                             // NOLINT: implicit
  PaddingModeArg(const char* name) : mode_(parse_padding_mode(name)) {}         // NOLINT
  PaddingModeArg(const std::string& name) : mode_(parse_padding_mode(name)) {}  // NOLINT
  operator PaddingMode() const noexcept { return mode_; }                       // NOLINT

 private:
  PaddingMode mode_;
};

/// The arguments of a convolution module, for designated initializers:
///
///     nn::Conv2d conv({.in_channels = 3, .out_channels = 8, .kernel_size = 3, .padding = "same"});
struct ConvOptions {
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  IntList kernel_size = 0;
  IntList stride = 1;
  Padding padding = 0;
  IntList dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
  PaddingModeArg padding_mode = PaddingMode::zeros;
};

/// The arguments of a transposed convolution module, in PyTorch's order.
struct ConvTransposeOptions {
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  IntList kernel_size = 0;
  IntList stride = 1;
  Padding padding = 0;
  IntList output_padding = 0;
  std::int64_t groups = 1;
  bool bias = true;
  IntList dilation = 1;
  PaddingModeArg padding_mode = PaddingMode::zeros;
};

/// What tells one convolution class from another.
struct ConvKind {
  int ndim = 2;
  bool transposed = false;
  PostOp post_op = PostOp::none;
  bool dynamic = false;     ///< quantized classes: float input and output
  bool batch_norm = false;  ///< float classes: normalized before whatever else follows

  /// "Conv2d", "ConvTranspose1d", "ConvReLU3d", "ConvAddReLU2d", "ConvBnReLU2d".
  QCONV_API std::string name() const;
  friend bool operator==(const ConvKind&, const ConvKind&) = default;
};

/// The attributes of a convolution module, named as in PyTorch. Lists have one value per spatial dimension.
/// They are set and checked by the module's constructor.
struct QCONV_API ConvAttributes {
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  std::vector<std::int64_t> kernel_size;
  std::vector<std::int64_t> stride;
  /// In numbers, also when it was given as "same". Two values per dimension (all begins, then all ends) when
  /// the sides differ.
  std::vector<std::int64_t> padding;
  std::vector<std::int64_t> dilation;
  bool transposed = false;
  std::vector<std::int64_t> output_padding;
  std::int64_t groups = 1;
  PaddingMode padding_mode = PaddingMode::zeros;

  int ndim() const noexcept { return static_cast<int>(kernel_size.size()); }
  /// The attributes as a problem without its input. Throws ValueError, in the name of `who`, for lists of
  /// unequal length and for whatever ConvGeometry::validate refuses.
  ConvGeometry geometry(std::string_view who) const;
  friend bool operator==(const ConvAttributes&, const ConvAttributes&) = default;

 protected:
  /// "3, 8, kernel_size=(3, 3), stride=(1, 1)".
  std::string repr_head() const;
  /// ", padding=(1, 1), dilation=..., output_padding=..., groups=2": what is not default. `padding_name`
  /// replaces the numbers unless empty.
  std::string repr_tail(std::string_view padding_name = {}) const;
};

/// Checks the arguments of a module of that kind. Throws ValueError in the name of `who`.
QCONV_API ConvAttributes make_attributes(const ConvKind& kind, const ConvOptions& options,
                                         std::string_view who);
QCONV_API ConvAttributes make_attributes(const ConvKind& kind, const ConvTransposeOptions& options,
                                         std::string_view who);

}  // namespace qconv::nn

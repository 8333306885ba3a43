#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <qconv/conv_problem.hpp>
#include <qconv/export.hpp>

namespace qconv {

/// One integer for every spatial dimension, or a list with one for each: `3` or `{3, 5}`.
class QCONV_API IntList {
 public:
  IntList(std::int64_t every) : values_{every}, every_(true) {}  // NOLINT: implicit on purpose
  IntList(int every) : IntList(std::int64_t{every}) {}           // NOLINT
  IntList(std::initializer_list<std::int64_t> values) : values_(values) {}
  IntList(std::vector<std::int64_t> values) : values_(std::move(values)) {}  // NOLINT

  /// The values for `ndim` dimensions; `neutral` fills the dimensions in front. Throws ValueError, in the
  /// name of `who` and `what`, when the list has another length.
  Spatial spatial(int ndim, std::int64_t neutral, std::string_view who, std::string_view what) const;
  const std::vector<std::int64_t>& values() const noexcept { return values_; }

 private:
  std::vector<std::int64_t> values_;
  bool every_ = false;
};

/// How much to pad: one integer, one per dimension (both sides alike), two per dimension (all begins, then
/// all ends, as in ONNX), or "valid" (nothing) or "same" (output as large as the input; the odd element goes
/// to the end, as in PyTorch).
class QCONV_API Padding {
 public:
  Padding(std::int64_t every) : values_{every}, every_(true) {}  // NOLINT: implicit on purpose
  Padding(int every) : Padding(std::int64_t{every}) {}           // NOLINT
  Padding(std::initializer_list<std::int64_t> values) : values_(values) {}
  Padding(std::vector<std::int64_t> values) : values_(std::move(values)) {}  // NOLINT
  Padding(std::string name) : name_(std::move(name)) {}                      // NOLINT
  Padding(const char* name) : name_(name) {}                                 // NOLINT

  /// Fills padding_begin and padding_end of `geometry`, whose ndim, kernel, stride and dilation are set.
  /// Throws ValueError, in the name of `who`, for another number of values, another name, or 'same' with a
  /// stride other than 1.
  void apply(ConvGeometry& geometry, std::string_view who) const;
  /// "valid" or "same" when given by name, else empty.
  const std::string& name() const noexcept { return name_; }

 private:
  std::vector<std::int64_t> values_;
  std::string name_;
  bool every_ = false;
};

}  // namespace qconv

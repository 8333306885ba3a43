#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <qconv/export.hpp>

namespace qconv {

/// Element types. The quantized ones (`quint8`, `qint8`, `qint32`) hold integers that stand for real numbers
/// through the tensor's quantization parameters; the others hold what they say.
enum class DType : std::uint8_t { float32, float64, int32, int64, uint8, int8, quint8, qint8, qint32 };

using enum DType;

/// What is known about one DType; `quant_min` and `quant_max` are the integer range (0, 0 for floating
/// point).
struct DTypeInfo {
  DType dtype;
  std::string_view name;
  std::size_t size;
  bool quantized;
  bool floating;
  /// The plain integer type with the same bits; the type itself when not quantized.
  DType storage;
  std::int64_t quant_min;
  std::int64_t quant_max;
};

/// The row of the dtype table for `dtype`.
QCONV_API const DTypeInfo& info(DType dtype) noexcept;

inline std::string_view to_string(DType dtype) noexcept { return info(dtype).name; }
inline std::size_t element_size(DType dtype) noexcept { return info(dtype).size; }
inline bool is_quantized(DType dtype) noexcept { return info(dtype).quantized; }

/// The dtype with that name ("quint8"), or nothing.
QCONV_API std::optional<DType> parse_dtype(std::string_view name) noexcept;

/// The plain dtype of a C++ element type: `dtype_of<float> == float32`.
template <class T>
inline constexpr DType dtype_of = DType::float32;
template <>
inline constexpr DType dtype_of<double> = DType::float64;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::int32;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::int64;
template <>
inline constexpr DType dtype_of<std::uint8_t> = DType::uint8;
template <>
inline constexpr DType dtype_of<std::int8_t> = DType::int8;

/// The element types a Tensor can be read as.
template <class T>
concept Element = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, std::int32_t> ||
    std::same_as<T, std::int64_t> || std::same_as<T, std::uint8_t> || std::same_as<T, std::int8_t>;

}  // namespace qconv

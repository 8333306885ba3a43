#include <array>
#include <limits>

#include <qconv/dtype.hpp>
#include <qconv/qparams.hpp>

namespace qconv {
namespace {

template <class T>
constexpr std::int64_t lowest() {
  return std::numeric_limits<T>::lowest();
}
template <class T>
constexpr std::int64_t highest() {
  return std::numeric_limits<T>::max();
}

// clang-format off
constexpr std::array<DTypeInfo, 9> kTable{{
    // dtype,  name,      size, quantized, floating, storage, quant_min, quant_max
    {float32, "float32", 4, false, true,  float32, 0, 0},
    {float64, "float64", 8, false, true,  float64, 0, 0},
    {int32,   "int32",   4, false, false, int32, lowest<std::int32_t>(), highest<std::int32_t>()},
    {int64,   "int64",   8, false, false, int64, lowest<std::int64_t>(), highest<std::int64_t>()},
    {uint8,   "uint8",   1, false, false, uint8, 0, 255},
    {int8,    "int8",    1, false, false, int8, -128, 127},
    {quint8,  "quint8",  1, true,  false, uint8, 0, 255},
    {qint8,   "qint8",   1, true,  false, int8, -128, 127},
    {qint32,  "qint32",  4, true,  false, int32, lowest<std::int32_t>(), highest<std::int32_t>()},
}};
// clang-format on

constexpr bool rows_follow_the_enum() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<std::size_t>(kTable[i].dtype) != i) return false;
  }
  return true;
}
static_assert(rows_follow_the_enum());

}  // namespace

const DTypeInfo& info(DType dtype) noexcept { return kTable[static_cast<std::size_t>(dtype)]; }

std::optional<DType> parse_dtype(std::string_view name) noexcept {
  for (const DTypeInfo& row : kTable) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

std::string_view to_string(QScheme scheme) noexcept {
  constexpr std::array<std::string_view, 4> kNames{"per_tensor_affine", "per_channel_affine",
                                                   "per_tensor_symmetric", "per_channel_symmetric"};
  return kNames[static_cast<std::size_t>(scheme)];
}

}  // namespace qconv

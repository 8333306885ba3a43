#include "io/torch_dtype.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace qconv {
namespace {

float from_half(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t{half & 0x8000U} << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1fU;
  const std::uint32_t fraction = half & 0x3ffU;
  if (exponent == 0) {
    // Subnormal: fraction * 2^-24, exact in float.
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide = exponent == 0x1f ? 0xffU : exponent + 112;
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

float from_bfloat16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
std::uint8_t from_bool(std::uint8_t byte) { return byte != 0 ? 1 : 0; }
template <class To, class From>
To widen(From value) {
  return value;
}

template <class To, class From, To (*one)(From)>
void convert_all(std::span<const std::byte> from, void* to) {
  To* target = static_cast<To*>(to);
  for (std::size_t i = 0; i < from.size() / sizeof(From); ++i) {
    From value;
    std::memcpy(&value, from.data() + i * sizeof(From), sizeof(From));
    target[i] = one(value);
  }
}

// A dtype that qconv has not becomes the next larger one that holds all its values.
constexpr auto kRows = std::to_array<TorchDType>({
    {"torch.float32", "torch.FloatStorage", 4, float32, nullptr},
    {"torch.float64", "torch.DoubleStorage", 8, float64, nullptr},
    {"torch.int64", "torch.LongStorage", 8, int64, nullptr},
    {"torch.int32", "torch.IntStorage", 4, int32, nullptr},
    {"torch.uint8", "torch.ByteStorage", 1, uint8, nullptr},
    {"torch.int8", "torch.CharStorage", 1, int8, nullptr},
    {"torch.quint8", "torch.QUInt8Storage", 1, quint8, nullptr},
    {"torch.qint8", "torch.QInt8Storage", 1, qint8, nullptr},
    {"torch.qint32", "torch.QInt32Storage", 4, qint32, nullptr},
    {"torch.float16", "torch.HalfStorage", 2, float32, convert_all<float, std::uint16_t, from_half>},
    {"torch.bfloat16", "torch.BFloat16Storage", 2, float32, convert_all<float, std::uint16_t, from_bfloat16>},
    {"torch.int16", "torch.ShortStorage", 2, int32, convert_all<std::int32_t, std::int16_t, widen>},
    {"torch.bool", "torch.BoolStorage", 1, uint8, convert_all<std::uint8_t, std::uint8_t, from_bool>},
    {"torch.uint16", "", 2, int32, convert_all<std::int32_t, std::uint16_t, widen>},
    {"torch.uint32", "", 4, int64, convert_all<std::int64_t, std::uint32_t, widen>},
});

// What can be named and not be read.
constexpr auto kOthers = std::to_array<std::string_view>({
    "torch.ComplexDoubleStorage",
    "torch.ComplexFloatStorage",
    "torch.QUInt2x4Storage",
    "torch.QUInt4x2Storage",
    "torch.complex128",
    "torch.complex32",
    "torch.complex64",
    "torch.float8_e4m3fn",
    "torch.float8_e4m3fnuz",
    "torch.float8_e5m2",
    "torch.float8_e5m2fnuz",
    "torch.float8_e8m0fnu",
    "torch.quint2x4",
    "torch.quint4x2",
    "torch.storage.TypedStorage",
    "torch.storage.UntypedStorage",
    "torch.storage._LegacyStorage",
    "torch.uint64",
});

}  // namespace

const TorchDType* find_torch_dtype(std::string_view name) {
  const auto found = std::find_if(kRows.begin(), kRows.end(), [&](const TorchDType& row) {
    return row.name == name || (!row.storage.empty() && row.storage == name);
  });
  return found == kRows.end() ? nullptr : &*found;
}

const TorchDType& torch_dtype_for(DType dtype) {
  return *std::find_if(kRows.begin(), kRows.end(), [&](const TorchDType& row) { return row.dtype == dtype; });
}

bool is_torch_storage_name(std::string_view name) {
  return std::find(kOthers.begin(), kOthers.end(), name) != kOthers.end();
}

void swap_bytes(std::span<std::byte> bytes, std::size_t element_size) {
  for (std::size_t i = 0; i + element_size <= bytes.size(); i += element_size) {
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                 bytes.begin() + static_cast<std::ptrdiff_t>(i + element_size));
  }
}

}  // namespace qconv

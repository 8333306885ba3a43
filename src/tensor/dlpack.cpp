#include <array>
#include <limits>
#include <memory>

#include <dlpack/dlpack.h>

#include <qconv/dlpack.hpp>

#include "support/check.hpp"

namespace qconv {
namespace {

struct Row {
  std::uint8_t code;
  std::uint8_t bits;
  DType dtype;
};
constexpr std::array<Row, 6> kDTypes{{{kDLFloat, 32, float32},
                                      {kDLFloat, 64, float64},
                                      {kDLInt, 32, int32},
                                      {kDLInt, 64, int64},
                                      {kDLUInt, 8, uint8},
                                      {kDLInt, 8, int8}}};

DLDataType to_dl(DType dtype) {
  for (const Row& row : kDTypes) {
    if (row.dtype == info(dtype).storage) return {row.code, row.bits, 1};
  }
  throw TypeError(fmt::format("to_dlpack: {} has no DLPack type", to_string(dtype)));
}

DType from_dl(DLDataType type) {
  for (const Row& row : kDTypes) {
    if (row.code == type.code && row.bits == type.bits && type.lanes == 1) return row.dtype;
  }
  throw TypeError(fmt::format(
      "from_dlpack: dtype code {} of {} bits, {} lanes is not supported, expected float32, float64, int32, "
      "int64, uint8 or int8",
      type.code, type.bits, type.lanes));
}

// What the receiver of an exported tensor holds: the handle that keeps the memory, and the lists that DLPack
// points to.
struct Export {
  DLManagedTensor managed{};
  Tensor tensor;
  Shape sizes;
  Shape strides;
};

// Calls the deleter of an imported tensor when the last view of it goes.
struct Import {
  DLManagedTensor* managed = nullptr;
  Import() = default;
  Import(const Import&) = delete;
  Import& operator=(const Import&) = delete;
  ~Import() {
    if (managed != nullptr && managed->deleter != nullptr) managed->deleter(managed);
  }
};

// Whether every element lies within the address space, counted in bytes from the first.
bool addressable(const Shape& sizes, const Shape& strides, DType dtype) {
  std::int64_t last = 0;  // the farthest element
  for (int d = 0; d < sizes.rank(); ++d) {
    std::int64_t reach = 0;
    if (sizes[d] == 0) return true;
    if (__builtin_mul_overflow(sizes[d] - 1, strides[d], &reach) ||
        __builtin_add_overflow(last, reach, &last)) {
      return false;
    }
  }
  return last < std::numeric_limits<std::int64_t>::max() / static_cast<std::int64_t>(element_size(dtype));
}

}  // namespace

DLManagedTensor* to_dlpack(const Tensor& tensor) {
  check(tensor.defined(), "to_dlpack: the tensor is undefined");
  const DLDataType type = to_dl(tensor.dtype());
  auto exported = std::make_unique<Export>();
  exported->tensor = tensor;
  exported->sizes = tensor.sizes();
  exported->strides = tensor.strides();
  DLTensor& dl = exported->managed.dl_tensor;
  dl.data = exported->tensor.raw_mutable_data();
  dl.device = {kDLCPU, 0};
  dl.ndim = tensor.dim();
  dl.dtype = type;
  dl.shape = exported->sizes.begin();
  dl.strides = exported->strides.begin();
  dl.byte_offset = 0;
  exported->managed.manager_ctx = exported.get();
  exported->managed.deleter = [](DLManagedTensor* self) { delete static_cast<Export*>(self->manager_ctx); };
  return &exported.release()->managed;
}

Tensor from_dlpack(DLManagedTensor* managed) {
  check(managed != nullptr, "from_dlpack: got a null pointer");
  const DLTensor& dl = managed->dl_tensor;
  check<TypeError>(dl.device.device_type == kDLCPU,
                   "from_dlpack: the tensor is on device type {}, expected the CPU ({})",
                   static_cast<int>(dl.device.device_type), static_cast<int>(kDLCPU));
  const DType dtype = from_dl(dl.dtype);
  check(dl.ndim >= 0 && dl.ndim <= kMaxRank, "from_dlpack: got {} dimensions, expected 0 to {}", dl.ndim,
        kMaxRank);
  check(dl.ndim == 0 || dl.shape != nullptr, "from_dlpack: the tensor has no shape");
  const auto rank = static_cast<std::size_t>(dl.ndim);
  const Shape sizes(std::span<const std::int64_t>(dl.shape, rank));
  const std::int64_t count = sizes.numel();
  const Shape strides = dl.strides == nullptr ? dense_strides(sizes, MemoryFormat::contiguous)
                                              : Shape(std::span<const std::int64_t>(dl.strides, rank));
  for (const std::int64_t stride : strides) {
    check(stride >= 0, "from_dlpack: strides must not be negative, got {}; make the array contiguous first",
          strides);
  }
  check(addressable(sizes, strides, dtype), "from_dlpack: sizes {} with strides {} leave the address space",
        sizes, strides);
  check(dl.data != nullptr || count == 0, "from_dlpack: sizes {} but no memory", sizes);
  void* first = count == 0 ? dl.data : static_cast<char*>(dl.data) + dl.byte_offset;
  check(reinterpret_cast<std::uintptr_t>(first) % element_size(dtype) == 0,
        "from_dlpack: the memory is not aligned for {}", to_string(dtype));
  // Ownership passes only once nothing can throw any more.
  auto owner = std::make_shared<Import>();
  owner->managed = managed;
  return Tensor::from_blob(first, sizes, strides, dtype, std::move(owner));
}

}  // namespace qconv

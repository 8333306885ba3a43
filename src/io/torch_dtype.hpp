#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include <qconv/dtype.hpp>
#include <qconv/tensor.hpp>

namespace qconv {

/// One of PyTorch's element types that can be read.
struct TorchDType {
  std::string_view name;     ///< "torch.float16"
  std::string_view storage;  ///< "torch.HalfStorage"
  std::size_t size;          ///< of an element in the file
  DType dtype;               ///< what it becomes
  /// Converts elements of the file to those of `dtype`; null when they are the same.
  void (*convert)(std::span<const std::byte> from, void* to);
};

/// The row of the dtype or storage class of that name, or null.
const TorchDType* find_torch_dtype(std::string_view name);
/// The row that `dtype` is written as.
const TorchDType& torch_dtype_for(DType dtype);
/// Whether it is the name of one of PyTorch's storage classes or dtypes, readable or not.
bool is_torch_storage_name(std::string_view name);

/// Reverses the bytes of every element.
void swap_bytes(std::span<std::byte> bytes, std::size_t element_size);

}  // namespace qconv

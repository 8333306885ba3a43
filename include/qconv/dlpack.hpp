#pragma once

#include <qconv/export.hpp>
#include <qconv/tensor.hpp>

/// From <dlpack/dlpack.h>, which only code that looks inside one needs to include.
struct DLManagedTensor;

namespace qconv {

/// The tensor's memory as a DLPack tensor, not copied; sizes and strides are kept. The memory lives until the
/// receiver calls the result's deleter. A quantized tensor is exported as its integers (uint8, int8, int32):
/// DLPack cannot carry the parameters. Throws ValueError for an undefined tensor.
QCONV_API DLManagedTensor* to_dlpack(const Tensor& tensor);

/// A tensor over the memory of a DLPack tensor, not copied. Takes ownership: the deleter is called when the
/// last view of the memory goes. When this throws, the caller still owns `managed`. Missing strides mean row
/// major.
///
/// Throws TypeError for a device other than the CPU or a dtype other than float32, float64, int32, int64,
/// uint8, int8; ValueError for a null pointer, more than 8 dimensions, negative sizes or strides, sizes
/// beyond the address space, or memory that is not aligned for its elements.
QCONV_API Tensor from_dlpack(DLManagedTensor* managed);

}  // namespace qconv

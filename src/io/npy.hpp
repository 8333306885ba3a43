#pragma once

#include <string>

#include <qconv/tensor.hpp>

#include "io/npy_header.hpp"

namespace qconv {

/// Reads the elements that follow `header`, in native byte order and row major. The caller has checked that
/// the file holds header.data_bytes more bytes.
Tensor read_npy_data(const NpyHeader& header, const ReadNext& read_next);

/// Throws, in the name of `who`, for a tensor that .npy cannot hold.
void check_npy_tensor(const Tensor& tensor, const std::string& who);

}  // namespace qconv

#pragma once

#include <filesystem>

#include <qconv/tensor.hpp>

#include "io/onnx_proto.hpp"

namespace qconv::io {

/// The elements of an ONNX tensor, as float32 (double too), int64, int32, int8 or uint8 (bool too). `folder`
/// is where external data may lie; empty when it may not. Throws FileError, naming the tensor, when the data
/// is shorter or longer than the sizes say, lies outside the folder, or has another type. Takes raw data out
/// of `proto`.
Tensor tensor_from_onnx(onnx::TensorProto& proto, const std::filesystem::path& folder);

/// `tensor` under that name, its elements as raw data. float32, int64, int32, and 8-bit ones.
onnx::TensorProto tensor_to_onnx(const Tensor& tensor, const std::string& name);

}  // namespace qconv::io

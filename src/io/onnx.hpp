#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/ir.hpp"

/// ONNX files in and out. Nothing here runs or rewrites a network.
namespace qconv::io {

/// Reads an ONNX model: opset 11 to 21, the operators of supported_onnx_operators(). Arithmetic on sizes and
/// constants is folded on the way where the input sizes need not be known.
///
/// Throws FileError, naming the file and where it applies the node, for anything that cannot be read or run;
/// in particular for operators that are not supported. External data must lie inside the model's folder.
graph::Graph read_onnx(const std::filesystem::path& path);
/// The same from memory; `name` stands for the file in messages. External data is refused.
graph::Graph read_onnx(std::span<const std::byte> bytes, std::string_view name);

/// Writes the graph as an ONNX model of opset 13 and returns its bytes. Integer operations are written as
/// DequantizeLinear, the float operation, QuantizeLinear.
std::string write_onnx(const graph::Graph& graph);

/// Names of the ONNX operators that read_onnx takes, sorted.
std::vector<std::string> supported_onnx_operators();

}  // namespace qconv::io

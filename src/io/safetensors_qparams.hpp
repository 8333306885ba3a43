#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <qconv/qparams.hpp>
#include <qconv/tensor.hpp>

namespace qconv {

/// What the metadata says about one tensor; see <qconv/io.hpp> for the text.
struct StoredQuantization {
  DType dtype = DType::quint8;
  QParams qparams;
};

/// The JSON text for a quantized tensor.
std::string quantization_text(const Tensor& tensor);

/// The text taken apart: nothing for "null", which stands for an undefined tensor. `who` begins the message
/// of the FileError thrown for any other text. The parameters still have to be checked against the tensor.
std::optional<StoredQuantization> parse_quantization(std::string_view text, std::string_view who);

}  // namespace qconv

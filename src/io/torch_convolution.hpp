#pragma once

#include <optional>
#include <string_view>

#include <qconv/torch_file.hpp>

#include "io/pickle.hpp"
#include "io/torch_tensors.hpp"

namespace qconv {

/// The kind of a quantized convolution class of torch.ao.nn (or torch.nn, where it was before) by its full
/// name without TorchScript's mangling; nothing for any other class.
std::optional<nn::ConvKind> quantized_conv_kind(std::string_view class_name);

/// The fifteen fields of a quantized convolution's state. Throws FileError, in the name of `who`.
nn::quantized::ConvState read_conv_state(const Pickle& pickle, const PickleValue& state,
                                         const TorchTensors& tensors, std::string_view who);

/// Whether a value looks like the state of a packed convolution, of any version.
bool is_packed_state(const Pickle& pickle, const PickleValue& value);
/// That state, taken apart and checked. Throws FileError, in the name of `who`.
TorchPackedParams read_packed_state(const Pickle& pickle, const PickleValue& state,
                                    const TorchTensors& tensors, std::string_view who);

}  // namespace qconv

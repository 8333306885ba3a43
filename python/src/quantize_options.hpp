#pragma once

#include <string>
#include <string_view>

#include <qconv/quantize_network.hpp>

#include "casts.hpp"

namespace qconv::python {

/// The keyword arguments of Network.quantize as its signature has them.
std::string quantize_signature();
/// What they mean.
std::string quantize_doc();

/// The keyword arguments of Network.quantize as options. Throws TypeError, in the name of `who`, for one that
/// is unknown or of a wrong type. The options' functions call those in `kwargs`, which must outlive them.
QuantizeOptions quantize_options_of(std::string_view who, const nb::kwargs& kwargs);

/// The name of the option that reads the calibration data more than once, as Python has it; or "".
std::string_view reads_again(const QuantizeOptions& options);

}  // namespace qconv::python

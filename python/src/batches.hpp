#pragma once

#include <string_view>

#include <qconv/quantize_network.hpp>

#include "casts.hpp"

namespace qconv::python {

/// Draws from an iterable, from a function that returns an iterator, or from one that returns the next batch
/// and None at the end. A batch is an array, or a list of them. Starts over after its end where the object
/// can. Copies share their place, and the last one must go while the GIL is held; drawing takes the GIL.
BatchSource batches_of(const nb::object& batches);

/// Throws TypeError, in the name of `who`, for an iterator: it cannot start over, which `reason` needs.
void require_again(const nb::object& batches, std::string_view who, std::string_view reason);

}  // namespace qconv::python

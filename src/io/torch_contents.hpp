#pragma once

#include <qconv/torch_file.hpp>

#include "io/pickle.hpp"
#include "io/torch_tensors.hpp"

namespace qconv {

/// Walks the values of a pickle and adds what they hold to `file`, under names that begin with `name`.
/// `most_bytes` is what all tensors may take as if none shared memory. Throws FileError, also for values that
/// contain themselves and for those that grow without bound when they are written out.
void add_contents(const Pickle& pickle, const TorchTensors& tensors, std::string_view name,
                  std::uint64_t most_bytes, TorchFile& file);

}  // namespace qconv

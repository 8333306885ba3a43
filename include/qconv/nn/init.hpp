#pragma once

#include <cstdint>

#include <qconv/export.hpp>

namespace qconv::nn {

/// Seeds the generator that new float modules draw their weights from, one for the process and safe to use
/// from several threads. The same seed and the same modules, made in the same order, have the weights that
/// PyTorch gives them after `torch.manual_seed(seed)`, bit for bit. Unseeded, every process draws the same
/// weights, those of PyTorch's default seed.
///
/// Weights are uniform in [-b, b) with b = sqrt(3) * gain / sqrt(fan_in), gain = sqrt(2 / (1 + 5)), and
/// fan_in = weight.size(1) * kernel taps (kaiming uniform, a = sqrt(5)); biases uniform in +-1 /
/// sqrt(fan_in).
QCONV_API void manual_seed(std::uint64_t seed);

}  // namespace qconv::nn

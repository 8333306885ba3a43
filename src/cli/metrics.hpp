#pragma once

#include <cstdint>
#include <vector>

#include <qconv/tensor.hpp>

namespace qconv::cli {

/// 10 log10(255^2 / mean squared difference) of two uint8 images of equal sizes, in dB; infinity when equal.
double psnr_db(const Tensor& image, const Tensor& target);

/// A float image in [0, 1] as uint8: rint(clamp(x, 0, 1) * 255).
Tensor to_image(const Tensor& image);

/// The indices of the `k` largest of `count` scores, best first; of equal ones, the lower index first.
std::vector<std::int64_t> top_k(const float* scores, std::int64_t count, std::int64_t k);

}  // namespace qconv::cli

#pragma once

#include <cstdint>
#include <vector>

#include <qconv/tensor.hpp>

namespace qconv::cli {

/// How close one tensor is to another, summed over any number of pairs.
class Similarity {
 public:
  /// Adds a pair of float32 tensors of equal sizes.
  void add(const Tensor& reference, const Tensor& other);
  /// 10 log10(sum r^2 / sum (r - o)^2) in dB; infinity when equal, minus infinity when the reference is 0.
  double sqnr_db() const;
  /// The cosine of the angle between the two; 1 when both are 0.
  double cosine() const;
  double greatest_difference() const { return greatest_; }

 private:
  double reference_ = 0;
  double other_ = 0;
  double product_ = 0;
  double error_ = 0;
  double greatest_ = 0;
};

/// 10 log10(255^2 / mean squared difference) of two uint8 images of equal sizes, in dB; infinity when equal.
double psnr_db(const Tensor& image, const Tensor& target);

/// A float image in [0, 1] as uint8: rint(clamp(x, 0, 1) * 255).
Tensor to_image(const Tensor& image);

/// The indices of the `k` largest of `count` scores, best first; of equal ones, the lower index first.
std::vector<std::int64_t> top_k(const float* scores, std::int64_t count, std::int64_t k);

}  // namespace qconv::cli

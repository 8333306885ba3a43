// What a program that uses an installed qconv looks like: quantizes a tensor, convolves it, checks the bytes.
#include <cstdio>
#include <exception>
#include <vector>

#include <qconv/qconv.hpp>

int main() try {
  using namespace qconv;
  if (version() != QCONV_EXPECTED_VERSION) {
    std::printf("linked qconv %s, expected %s\n", std::string(version()).c_str(), QCONV_EXPECTED_VERSION);
    return 1;
  }
  // A 2x2 box filter over 1..9, in steps of 1: the sums are exact.
  const Tensor x = Tensor::from_data(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 3, 3});
  const Tensor weight = Tensor::from_data(std::vector<float>{1, 1, 1, 1}, {1, 1, 2, 2});
  const PackedParams packed = ops::conv2d_prepack(quantize_per_tensor(weight, 1.0, 0, qint8), std::nullopt,
                                                  {1, 1}, {0, 0}, {1, 1}, 1);
  const Tensor y = ops::conv2d(quantize_per_tensor(x, 1.0, 0, quint8), packed, 1.0, 0);
  if (dequantize(y).to_vector<float>() != std::vector<float>{12, 16, 24, 28}) {
    std::puts("wrong result");
    return 1;
  }
  // An exception crosses the library's border as what it is.
  try {
    quantize_per_tensor(x, -1.0, 0, quint8);
  } catch (const ValueError&) {
    std::puts("ok");
    return 0;
  }
  std::puts("a negative scale was accepted");
  return 1;
} catch (const std::exception& error) {
  std::printf("error: %s\n", error.what());
  return 1;
}

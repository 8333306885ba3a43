#pragma once

#include <cstdint>
#include <vector>

#include "graph/ir.hpp"

namespace qconv::graph {

/// The second moments of what the weights of a layer are multiplied with. An output value is w . x over a
/// vector x of inputs, one for each position (im2col); rounding errors e of the weights make an error e . x,
/// whose mean square over the data is e^T G e with G the mean of x x^T.
///
/// There is a block of G for each group. A group of more inputs than kWidest is cut into blocks of whole
/// channels, and what is between them is taken for 0.
class Gram {
 public:
  static constexpr std::int64_t kWidest = 4608;

  /// A Conv, not transposed and with padding given, or a Linear.
  Gram(const Graph& graph, const Node& node);
  static bool takes(const Node& node);

  /// Adds the positions of an input of the layer, or some of them where there are many.
  void add(const Tensor& input);
  /// Done adding: means instead of sums. With `centred`, covariances: the mean error is not counted.
  void finish(bool centred);

  std::int64_t blocks() const noexcept { return groups_ * blocks_by_group_; }
  /// Where the block's inputs begin in a row of the weight, and how many there are.
  std::int64_t begin(std::int64_t block) const noexcept;
  std::int64_t width(std::int64_t block) const noexcept;
  std::int64_t group(std::int64_t block) const noexcept { return block / blocks_by_group_; }
  /// Symmetric, width x width.
  const std::vector<float>& matrix(std::int64_t block) const {
    return matrices_[static_cast<std::size_t>(block)];
  }
  std::size_t bytes() const noexcept;

 private:
  struct Positions;
  Positions positions_of(const Tensor& input) const;
  void add_block(std::int64_t block, const Positions& positions, const float* x);

  ConvGeometry geometry_;
  std::int64_t groups_ = 1;
  std::int64_t channels_ = 1;  ///< of a group
  std::int64_t channels_by_block_ = 1;
  std::int64_t blocks_by_group_ = 1;
  bool linear_ = false;
  std::vector<std::vector<float>> matrices_;
  std::vector<std::vector<double>> sums_;
  double count_ = 0;
};

}  // namespace qconv::graph

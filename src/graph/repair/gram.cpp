#include "graph/repair/gram.hpp"

#include <algorithm>

#include <qconv/float_convolution.hpp>

#include "engines/source_index.hpp"
#include "graph/windows.hpp"

namespace qconv::graph {
namespace {

// Positions of one sample that are looked at: neighbours tell little that is new.
constexpr std::int64_t kPositions = 512;
// Elements of the vectors that are gathered at a time.
constexpr std::int64_t kBuffer = std::int64_t{1} << 22;
// From here on the float library multiplies faster than plain loops.
constexpr std::int64_t kNarrow = 64;

}  // namespace

// Per tap and position, where a channel is read: the offset in its first plane, or -1 for a zero.
struct Gram::Positions {
  std::int64_t count = 0;
  std::int64_t plane = 1;  ///< between channels
  std::vector<std::int64_t> offsets;
};

bool Gram::takes(const Node& node) {
  const auto* conv = std::get_if<Conv>(&node.op);
  if (conv == nullptr) return std::holds_alternative<Linear>(node.op);
  return !conv->geometry.transposed && conv->auto_pad == AutoPad::given;
}

Gram::Gram(const Graph& graph, const Node& node) {
  if (const auto* conv = std::get_if<Conv>(&node.op)) {
    geometry_ = conv->geometry;
  } else {
    linear_ = true;
    geometry_.in_channels = (*graph.value(node.inputs[1]).sizes)[1];
  }
  groups_ = geometry_.groups;
  channels_ = geometry_.in_channels_per_group();
  channels_by_block_ =
      std::clamp<std::int64_t>(kWidest / geometry_.taps(), 1, std::max<std::int64_t>(1, channels_));
  blocks_by_group_ = std::max<std::int64_t>(1, (channels_ + channels_by_block_ - 1) / channels_by_block_);
  for (std::int64_t b = 0; b < blocks(); ++b) {
    const auto n = static_cast<std::size_t>(width(b));
    matrices_.emplace_back(n * n);
    sums_.emplace_back(n);
  }
}

std::int64_t Gram::begin(std::int64_t block) const noexcept {
  return block % blocks_by_group_ * channels_by_block_ * geometry_.taps();
}

std::int64_t Gram::width(std::int64_t block) const noexcept {
  const std::int64_t first = block % blocks_by_group_ * channels_by_block_;
  return std::min(channels_by_block_, channels_ - first) * geometry_.taps();
}

std::size_t Gram::bytes() const noexcept {
  std::size_t total = 0;
  for (const auto& m : matrices_) total += m.size() * sizeof(float);
  return total;
}

Gram::Positions Gram::positions_of(const Tensor& input) const {
  Positions p;
  if (linear_) {
    p.count = channels_ == 0 ? 0 : input.numel() / channels_;
    for (std::int64_t r = 0; r < p.count; ++r) p.offsets.push_back(r * channels_);
    return p;
  }
  const ConvGeometry& g = geometry_;
  const Spatial in = spatial_of(input.sizes(), g.ndim, "calibration");
  const Spatial out = g.output_spatial(in);
  p.plane = in[0] * in[1] * in[2];
  const std::int64_t all = out[0] * out[1] * out[2];
  const std::int64_t taken = std::min(all, kPositions);
  std::vector<Spatial> corners;
  for (std::int64_t i = 0; i < taken; ++i) {
    // Evenly, but not in step with the rows.
    const std::int64_t at = (i * all + all / 2) / taken % all;
    corners.push_back({at / (out[1] * out[2]) * g.stride[0] - g.padding_begin[0],
                       at / out[2] % out[1] * g.stride[1] - g.padding_begin[1],
                       at % out[2] * g.stride[2] - g.padding_begin[2]});
  }
  p.count = input.size(0) * taken;
  for (std::int64_t t = 0; t < g.taps(); ++t) {
    const Spatial tap{t / (g.kernel[1] * g.kernel[2]), t / g.kernel[2] % g.kernel[1], t % g.kernel[2]};
    for (std::int64_t n = 0; n < input.size(0); ++n) {
      for (const Spatial& corner : corners) {
        std::int64_t offset = 0;
        for (std::size_t d = 0; d < 3 && offset >= 0; ++d) {
          const std::int64_t i =
              engines::padded_index(g.padding_mode, corner[d] + tap[d] * g.dilation[d], in[d]);
          offset = i < 0 ? -1 : offset * in[d] + i;
        }
        p.offsets.push_back(offset < 0 ? -1 : n * g.in_channels * p.plane + offset);
      }
    }
  }
  return p;
}

void Gram::add(const Tensor& input) {
  const Tensor dense = input.contiguous();
  const Positions positions = positions_of(dense);
  if (positions.count == 0) return;
  for (std::int64_t b = 0; b < blocks(); ++b) add_block(b, positions, dense.data<float>());
  count_ += static_cast<double>(positions.count);
}

void Gram::add_block(std::int64_t block, const Positions& positions, const float* x) {
  const std::int64_t n = width(block);
  const std::int64_t taps = geometry_.taps();
  const std::int64_t first = group(block) * channels_ + begin(block) / taps;
  std::vector<float>& matrix = matrices_[static_cast<std::size_t>(block)];
  std::vector<double>& sums = sums_[static_cast<std::size_t>(block)];
  const std::int64_t at_once = std::max<std::int64_t>(1, kBuffer / std::max<std::int64_t>(1, n));
  for (std::int64_t start = 0; start < positions.count; start += at_once) {
    const std::int64_t rows = std::min(at_once, positions.count - start);
    std::vector<float> gathered(static_cast<std::size_t>(n * rows));
    for (std::int64_t k = 0; k < n; ++k) {
      const float* channel = x + (first + k / taps) * positions.plane;
      const std::int64_t* offsets = positions.offsets.data() + k % taps * positions.count + start;
      float* to = gathered.data() + k * rows;
      double sum = 0;
      for (std::int64_t r = 0; r < rows; ++r) {
        to[r] = offsets[r] < 0 ? 0.0F : channel[offsets[r]];
        sum += static_cast<double>(to[r]);
      }
      sums[static_cast<std::size_t>(k)] += sum;
    }
    if (n >= kNarrow) {
      const Tensor vectors = Tensor::from_blob(gathered.data(), {n, rows}, {rows, 1}, DType::float32);
      const Tensor products = FloatLinear(vectors, std::nullopt).run(vectors).contiguous();
      const float* from = products.data<float>();
      for (std::size_t i = 0; i < matrix.size(); ++i) matrix[i] += from[i];
      continue;
    }
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) {
        double sum = 0;
        for (std::int64_t r = 0; r < rows; ++r) {
          sum += static_cast<double>(gathered[static_cast<std::size_t>(i * rows + r)]) *
                 static_cast<double>(gathered[static_cast<std::size_t>(j * rows + r)]);
        }
        matrix[static_cast<std::size_t>(i * n + j)] += static_cast<float>(sum);
        if (i != j) matrix[static_cast<std::size_t>(j * n + i)] += static_cast<float>(sum);
      }
    }
  }
}

void Gram::finish(bool centred) {
  if (count_ == 0) return;
  for (std::size_t b = 0; b < matrices_.size(); ++b) {
    const std::size_t n = sums_[b].size();
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        float& m = matrices_[b][i * n + j];
        const double mean = static_cast<double>(m) / count_;
        m = static_cast<float>(centred ? mean - sums_[b][i] / count_ * (sums_[b][j] / count_) : mean);
      }
    }
  }
}

}  // namespace qconv::graph

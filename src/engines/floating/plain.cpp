// Float convolution in plain loops: blocks of output channels innermost, for the vectorizer, over a few
// output positions that share the loaded weights. Positions of a transposed convolution that are `stride`
// apart see the same taps, so it is the same loop with another step.
#include <algorithm>
#include <array>
#include <vector>

#include "engines/floating/float_plan.hpp"
#include "engines/floating/limits.hpp"
#include "engines/floating/plain_depthwise.hpp"
#include "engines/source_index.hpp"
#include "support/aligned_buffer.hpp"
#include "support/parallel_chunks.hpp"

namespace qconv::engines {
namespace {

constexpr std::int64_t kLanes = 16;     // output channels of a block
constexpr std::int64_t kPositions = 4;  // output positions of a block

// One block of accumulators and the input pixels that one tap adds.
using Block = std::array<float, static_cast<std::size_t>(kPositions* kLanes)>;
using Pixels = std::array<const float*, static_cast<std::size_t>(kPositions)>;

// sum[p][lane] += x[p][c] * w[c][lane] over the channels of one tap.
void add_tap(Block& sum, const Pixels& x, const float* w, std::int64_t channels) {
  Block local = sum;
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::size_t p = 0; p < kPositions; ++p) {
      const float value = x[p][c];
      for (std::size_t lane = 0; lane < kLanes; ++lane)
        local[p * kLanes + lane] += value * w[c * kLanes + static_cast<std::int64_t>(lane)];
    }
  }
  sum = local;
}

class PlainPlan final : public FloatPlan {
 public:
  PlainPlan(const FloatProblem& problem, const float* weight, const float* bias)
      : problem_(problem), limits_(limits_of(problem.post_op)) {
    const ConvGeometry& g = problem_.geometry;
    blocks_ = (g.out_channels_per_group() + kLanes - 1) / kLanes;
    const std::int64_t rows = g.groups * blocks_ * g.taps() * g.in_channels_per_group();
    weights_ = AlignedBuffer<float>(static_cast<std::size_t>(rows * kLanes));
    bias_ = AlignedBuffer<float>(static_cast<std::size_t>(g.groups * blocks_ * kLanes));
    std::fill(bias_.span().begin(), bias_.span().end(), 0.0F);
    for (std::int64_t group = 0; group < g.groups; ++group) {
      for (std::int64_t block = 0; block < blocks_; ++block) pack(group, block, weight, bias);
    }
    zeros_.assign(static_cast<std::size_t>(g.in_channels_per_group()), 0.0F);
  }

  std::string kernel() const override { return "plain"; }

  void run(const FloatArgs& args, ThreadPool& pool) const override {
    const Spatial out = problem_.output();
    const std::int64_t rows = problem_.batch * out[0] * out[1];
    const std::int64_t parts = problem_.geometry.groups * blocks_;
    const std::int64_t work = out[2] * problem_.geometry.reduction() * kLanes;
    parallel_chunks(pool, rows * parts, std::max<std::int64_t>(1, 65536 / work),
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t task = begin; task < end; ++task)
                        run_row(args, task / parts, task % parts / blocks_, task % parts % blocks_);
                    });
  }

 private:
  // Weights as [group][block][tap][input channel][lane], zero in the lanes that no channel has.
  void pack(std::int64_t group, std::int64_t block, const float* weight, const float* bias) {
    const ConvGeometry& g = problem_.geometry;
    const std::int64_t in = g.in_channels_per_group();
    const std::int64_t out = g.out_channels_per_group();
    float* to = weights_.data() + (group * blocks_ + block) * g.taps() * in * kLanes;
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const std::int64_t oc = block * kLanes + lane;
      if (bias && oc < out)
        bias_[static_cast<std::size_t>((group * blocks_ + block) * kLanes + lane)] = bias[group * out + oc];
      for (std::int64_t ic = 0; ic < in; ++ic) {
        const std::int64_t row = g.transposed ? (group * in + ic) * out + oc : (group * out + oc) * in + ic;
        for (std::int64_t tap = 0; tap < g.taps(); ++tap)
          to[(tap * in + ic) * kLanes + lane] = oc < out ? weight[row * g.taps() + tap] : 0.0F;
      }
    }
  }

  void run_row(const FloatArgs& args, std::int64_t row, std::int64_t group, std::int64_t block) const {
    const ConvGeometry& g = problem_.geometry;
    const std::int64_t width = problem_.output()[2];
    const std::int64_t step = g.transposed ? g.stride[2] : 1;
    for (std::int64_t phase = 0; phase < std::min(step, width); ++phase) {
      for (std::int64_t first = phase; first < width; first += step * kPositions)
        run_block(args, row, first, step, group, block);
    }
  }

  // Output positions first, first + step, ... of a row, for one block of channels.
  void run_block(const FloatArgs& args, std::int64_t row, std::int64_t first, std::int64_t step,
                 std::int64_t group, std::int64_t block) const {
    const ConvGeometry& g = problem_.geometry;
    const std::int64_t in = g.in_channels_per_group();
    const std::int64_t part = group * blocks_ + block;
    const float* weights = weights_.data() + part * g.taps() * in * kLanes;
    Block sum;
    for (std::size_t i = 0; i < sum.size(); ++i)
      sum[i] = bias_[static_cast<std::size_t>(part * kLanes) + i % kLanes];
    Pixels pixels;
    for (std::int64_t tap = 0; tap < g.taps(); ++tap) {
      if (gather(args.input + group * in, row, first, step, tap, pixels))
        add_tap(sum, pixels, weights + tap * in * kLanes, in);
    }
    store(args, row, first, step, group, block, sum);
  }

  // The input pixels of one tap; false when all of them lie in the padding.
  bool gather(const float* input, std::int64_t row, std::int64_t first, std::int64_t step, std::int64_t tap,
              Pixels& pixels) const {
    const ConvGeometry& g = problem_.geometry;
    const Spatial& size = problem_.input;
    const Spatial out = problem_.output();
    const std::int64_t d =
        source_index(g, 0, row / out[1] % out[0], tap / (g.kernel[1] * g.kernel[2]), size[0]);
    const std::int64_t h = source_index(g, 1, row % out[1], tap / g.kernel[2] % g.kernel[1], size[1]);
    if (d < 0 || h < 0) return false;
    const std::int64_t line = ((row / (out[0] * out[1]) * size[0] + d) * size[1] + h) * size[2];
    bool any = false;
    for (std::int64_t p = 0; p < kPositions; ++p) {
      const std::int64_t o = first + p * step;
      const std::int64_t w = o < out[2] ? source_index(g, 2, o, tap % g.kernel[2], size[2]) : -1;
      pixels[static_cast<std::size_t>(p)] = w < 0 ? zeros_.data() : input + (line + w) * g.in_channels;
      any = any || w >= 0;
    }
    return any;
  }

  void store(const FloatArgs& args, std::int64_t row, std::int64_t first, std::int64_t step,
             std::int64_t group, std::int64_t block, const Block& sum) const {
    const ConvGeometry& g = problem_.geometry;
    const std::int64_t width = problem_.output()[2];
    const std::int64_t channels = std::min(kLanes, g.out_channels_per_group() - block * kLanes);
    for (std::int64_t p = 0; p < kPositions && first + p * step < width; ++p) {
      const std::int64_t at = (row * width + first + p * step) * g.out_channels +
                              group * g.out_channels_per_group() + block * kLanes;
      for (std::int64_t lane = 0; lane < channels; ++lane) {
        float v = sum[static_cast<std::size_t>(p * kLanes + lane)];
        if (args.addend) v += args.addend[at + lane];
        args.output[at + lane] = limits_(v);
      }
    }
  }

  FloatProblem problem_;
  Limits limits_;
  std::int64_t blocks_;  // of output channels, in a group
  AlignedBuffer<float> weights_;
  AlignedBuffer<float> bias_;
  std::vector<float> zeros_;  // a pixel of padding
};

}  // namespace

void apply_post_op(const FloatProblem& problem, const FloatArgs& args, ThreadPool& pool) {
  const FloatPostOp& op = problem.post_op;
  if (!op.add && !op.min && !op.max) return;
  const Limits limits = limits_of(op);
  const Spatial out = problem.output();
  const std::int64_t count = problem.batch * out[0] * out[1] * out[2] * problem.geometry.out_channels;
  parallel_chunks(pool, count, 32768, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float v = args.addend ? args.output[i] + args.addend[i] : args.output[i];
      args.output[i] = limits(v);
    }
  });
}

std::unique_ptr<const FloatPlan> prepare_plain(const FloatProblem& problem, const float* weight,
                                               const float* bias) {
  const ConvGeometry& g = problem.geometry;
  if (g.in_channels_per_group() == 1 && g.out_channels_per_group() == 1)
    return prepare_plain_depthwise(problem, weight, bias);
  return std::make_unique<PlainPlan>(problem, weight, bias);
}

}  // namespace qconv::engines

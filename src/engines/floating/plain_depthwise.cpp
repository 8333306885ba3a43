#include "engines/floating/plain_depthwise.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "engines/floating/limits.hpp"
#include "engines/source_index.hpp"
#include "support/parallel_chunks.hpp"

namespace qconv::engines {
namespace {

constexpr std::int64_t kBlock = 64;  // channels whose sums stay in registers or in the L1 cache

class DepthwisePlan final : public FloatPlan {
 public:
  DepthwisePlan(const FloatProblem& problem, const float* weight, const float* bias)
      : problem_(problem),
        limits_(limits_of(problem.post_op)),
        weights_(static_cast<std::size_t>(problem.geometry.taps() * problem.geometry.groups)),
        bias_(static_cast<std::size_t>(problem.geometry.groups), 0.0F) {
    const ConvGeometry& g = problem_.geometry;
    for (std::int64_t c = 0; c < g.groups; ++c) {
      for (std::int64_t tap = 0; tap < g.taps(); ++tap)
        weights_[static_cast<std::size_t>(tap * g.groups + c)] = weight[c * g.taps() + tap];
    }
    if (bias) std::copy(bias, bias + g.groups, bias_.begin());
  }

  std::string kernel() const override { return "plain depthwise"; }

  void run(const FloatArgs& args, ThreadPool& pool) const override {
    const ConvGeometry& g = problem_.geometry;
    const Spatial out = problem_.output();
    const std::int64_t work = out[2] * g.groups * g.taps();
    parallel_chunks(pool, problem_.batch * out[0] * out[1], std::max<std::int64_t>(1, 65536 / work),
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t row = begin; row < end; ++row) run_row(args, row);
                    });
  }

 private:
  // One tap that lies inside the input for every output position of a row, as far as depth and height go.
  struct Tap {
    const float* line;  // the input's line
    const float* weight;
    std::int64_t kw;
  };

  void run_row(const FloatArgs& args, std::int64_t row) const {
    const ConvGeometry& g = problem_.geometry;
    const Spatial& in = problem_.input;
    const Spatial out = problem_.output();
    std::vector<Tap> taps;
    for (std::int64_t tap = 0; tap < g.taps(); ++tap) {
      const std::int64_t d =
          source_index(g, 0, row / out[1] % out[0], tap / (g.kernel[1] * g.kernel[2]), in[0]);
      const std::int64_t h = source_index(g, 1, row % out[1], tap / g.kernel[2] % g.kernel[1], in[1]);
      if (d < 0 || h < 0) continue;
      const std::int64_t line = ((row / (out[0] * out[1]) * in[0] + d) * in[1] + h) * in[2];
      taps.push_back({args.input + line * g.groups, weights_.data() + tap * g.groups, tap % g.kernel[2]});
    }
    for (std::int64_t o = 0; o < out[2]; ++o) run_position(args, taps, row * out[2] + o, o);
  }

  void run_position(const FloatArgs& args, const std::vector<Tap>& taps, std::int64_t at,
                    std::int64_t o) const {
    const ConvGeometry& g = problem_.geometry;
    for (std::int64_t first = 0; first < g.groups; first += kBlock) {
      const std::int64_t channels = std::min(kBlock, g.groups - first);
      std::array<float, kBlock> sum;
      std::copy_n(bias_.data() + first, channels, sum.begin());
      for (const Tap& tap : taps) {
        const std::int64_t w = source_index(g, 2, o, tap.kw, problem_.input[2]);
        if (w < 0) continue;
        const float* x = tap.line + w * g.groups + first;
        const float* weight = tap.weight + first;
        for (std::int64_t c = 0; c < channels; ++c) sum[static_cast<std::size_t>(c)] += x[c] * weight[c];
      }
      float* y = args.output + at * g.groups + first;
      const float* addend = args.addend ? args.addend + at * g.groups + first : nullptr;
      for (std::int64_t c = 0; c < channels; ++c) {
        const float v = sum[static_cast<std::size_t>(c)];
        y[c] = limits_(addend ? v + addend[c] : v);
      }
    }
  }

  FloatProblem problem_;
  Limits limits_;
  std::vector<float> weights_;  // [tap][channel]
  std::vector<float> bias_;
};

}  // namespace

std::unique_ptr<const FloatPlan> prepare_plain_depthwise(const FloatProblem& problem, const float* weight,
                                                         const float* bias) {
  return std::make_unique<DepthwisePlan>(problem, weight, bias);
}

}  // namespace qconv::engines

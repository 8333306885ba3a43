#include "engines/reference/reference.hpp"

#include "engines/source_index.hpp"
#include "quantize/requant_math.hpp"

namespace qconv::engines {
namespace {

struct ReferenceWeights final : PackedWeights {
  ConvGeometry geometry;
  std::vector<std::int8_t> values;
  std::vector<std::int32_t> zero_points;

  std::string kernel() const override { return "reference"; }

  // The taps of output channel `oc` and the first input channel of its group; the next channel's are `step()`
  // further.
  const std::int8_t* row(std::int64_t oc) const {
    const std::int64_t out = geometry.out_channels_per_group();
    const std::int64_t in = geometry.in_channels_per_group();
    const std::int64_t index = geometry.transposed ? oc / out * in * out + oc % out : oc * in;
    return values.data() + index * geometry.taps();
  }
  std::int64_t step() const {
    return (geometry.transposed ? geometry.out_channels_per_group() : 1) * geometry.taps();
  }
};

class ReferencePrepared final : public Prepared {
 public:
  ReferencePrepared(std::shared_ptr<const ReferenceWeights> weights, const ConvProblem& problem,
                    Requantization requant)
      : weights_(std::move(weights)), problem_(problem), requant_(std::move(requant)) {}

  void run(const RunArgs& args, ThreadPool& pool) const override {
    if (problem_.input_dtype == DType::quint8) {
      run_from(static_cast<const std::uint8_t*>(args.input), args, pool);
    } else {
      run_from(static_cast<const std::int8_t*>(args.input), args, pool);
    }
  }

  std::string kernel_name() const override { return weights_->kernel(); }

 private:
  template <class X>
  void run_from(const X* input, const RunArgs& args, ThreadPool& pool) const {
    if (problem_.output_dtype == DType::quint8) {
      run_to(input, static_cast<const std::uint8_t*>(args.addend), static_cast<std::uint8_t*>(args.output),
             pool);
    } else {
      run_to(input, static_cast<const std::int8_t*>(args.addend), static_cast<std::int8_t*>(args.output),
             pool);
    }
  }

  template <class X, class Y>
  void run_to(const X* input, const Y* addend, Y* output, ThreadPool& pool) const {
    const Spatial out = problem_.output();
    const std::int64_t channels = problem_.geometry.out_channels;
    const auto rows = static_cast<std::size_t>(problem_.batch * out[0] * out[1]);
    parallel_for(pool, rows, problem_.multiply_adds(), [&](std::size_t row) {
      const auto r = static_cast<std::int64_t>(row);
      const std::int64_t n = r / (out[0] * out[1]);
      for (std::int64_t w = 0; w < out[2]; ++w) {
        const Spatial position{r / out[1] % out[0], r % out[1], w};
        for (std::int64_t oc = 0; oc < channels; ++oc) {
          const std::int64_t at = (r * out[2] + w) * channels + oc;
          const std::int32_t sum = accumulate(input, n, oc, position);
          output[at] =
              static_cast<Y>(requantize(sum, static_cast<std::size_t>(oc), addend ? &addend[at] : nullptr));
        }
      }
    });
  }

  // The sum over taps and channels of (a - za) * (w - zw); taps in zero padding add nothing.
  template <class X>
  std::int32_t accumulate(const X* input, std::int64_t n, std::int64_t oc, const Spatial& position) const {
    const ConvGeometry& g = problem_.geometry;
    const Spatial& in = problem_.input;
    const std::int64_t first_channel = oc / g.out_channels_per_group() * g.in_channels_per_group();
    const std::int32_t weight_zero_point = weights_->zero_points[static_cast<std::size_t>(oc)];
    const std::int64_t step = weights_->step();
    const std::int8_t* weight = weights_->row(oc);
    std::int32_t sum = 0;
    for (std::int64_t kd = 0; kd < g.kernel[0]; ++kd) {
      const std::int64_t d = source_index(g, 0, position[0], kd, in[0]);
      for (std::int64_t kh = 0; kh < g.kernel[1]; ++kh) {
        const std::int64_t h = source_index(g, 1, position[1], kh, in[1]);
        for (std::int64_t kw = 0; kw < g.kernel[2]; ++kw, ++weight) {
          const std::int64_t w = source_index(g, 2, position[2], kw, in[2]);
          if (d < 0 || h < 0 || w < 0) continue;
          const X* pixel =
              input + (((n * in[0] + d) * in[1] + h) * in[2] + w) * g.in_channels + first_channel;
          for (std::int64_t ic = 0; ic < g.in_channels_per_group(); ++ic) {
            sum += (pixel[ic] - requant_.input_zero_point) * (weight[ic * step] - weight_zero_point);
          }
        }
      }
    }
    return sum;
  }

  template <class Y>
  std::int32_t requantize(std::int32_t sum, std::size_t oc, const Y* addend) const {
    float v = math::scale_accumulator(sum + requant_.integer_bias[oc], requant_.bias[oc], requant_.bias_scale,
                                      requant_.multiplier[oc]);
    if (addend != nullptr) {
      v += static_cast<float>(*addend - requant_.addend_zero_point) * requant_.addend_multiplier;
    }
    return math::round_and_clamp(v, requant_.zero_point, requant_.lo, requant_.hi);
  }

  std::shared_ptr<const ReferenceWeights> weights_;
  ConvProblem problem_;
  Requantization requant_;
};

class ReferenceEngine final : public Engine {
 public:
  std::string_view name() const noexcept override { return "reference"; }
  std::string declines(const ConvGeometry&) const override { return {}; }

  std::shared_ptr<const PackedWeights> pack(const ConvGeometry& geometry,
                                            const WeightView& weights) const override {
    auto packed = std::make_shared<ReferenceWeights>();
    packed->geometry = geometry;
    packed->values.assign(weights.values, weights.values + geometry.weight_sizes().numel());
    packed->zero_points.assign(weights.zero_points.begin(), weights.zero_points.end());
    return packed;
  }

  std::unique_ptr<const Prepared> prepare(std::shared_ptr<const PackedWeights> weights,
                                          const ConvProblem& problem,
                                          Requantization requantization) const override {
    return std::make_unique<ReferencePrepared>(
        std::static_pointer_cast<const ReferenceWeights>(std::move(weights)), problem,
        std::move(requantization));
  }
};

}  // namespace

const Engine& reference() {
  static const ReferenceEngine engine;
  return engine;
}

}  // namespace qconv::engines

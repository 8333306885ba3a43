#include "support/conv_case.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include <qconv/error.hpp>

#include "support/guarded_buffer.hpp"

namespace qconv::testing {
namespace {

// Uniform integers that are the same on every platform, unlike std::uniform_int_distribution.
std::int64_t pick(std::mt19937_64& random, std::int64_t lo, std::int64_t hi) {
  return lo + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(hi - lo + 1));
}

template <class T>
T one_of(std::mt19937_64& random, std::initializer_list<T> values) {
  return values.begin()[pick(random, 0, static_cast<std::int64_t>(values.size()) - 1)];
}

std::int64_t dense_size(const Shape& sizes) { return sizes.numel(); }

double pick_scale(std::mt19937_64& random, Data data) {
  if (data == Data::ties) return std::ldexp(1.0, static_cast<int>(pick(random, -3, 1)));
  return 0.001 * static_cast<double>(pick(random, 1, 2000));
}

}  // namespace

ConvCase make_case(const ConvProblem& problem, std::uint64_t seed, Data data) {
  std::mt19937_64 random(seed);
  const ConvGeometry& g = problem.geometry;
  ConvCase c;
  c.problem = problem;
  c.input.resize(static_cast<std::size_t>(dense_size(problem.input_sizes())));
  c.weights.resize(static_cast<std::size_t>(g.weight_sizes().numel()));
  // Long reductions of extreme values would leave int32; the packing above engines refuses those.
  const std::int64_t reach = std::min<std::int64_t>(255, 2'100'000'000 / 255 / g.reduction());
  const bool extreme = data == Data::extreme;
  const std::int64_t w_reach = std::min<std::int64_t>(127, reach / 2);
  for (auto& x : c.input)
    x = static_cast<std::uint8_t>(extreme ? one_of(random, {0, 1, 127, 128, 254, 255})
                                          : pick(random, 0, 255));
  for (auto& w : c.weights) {
    w = static_cast<std::int8_t>(extreme ? one_of<std::int64_t>(random, {-w_reach - 1, -w_reach, 0, w_reach})
                                         : pick(random, -w_reach - 1, w_reach));
  }
  for (std::int64_t oc = 0; oc < g.out_channels; ++oc) {
    const bool fresh = problem.weight_scheme == WeightScheme::per_channel || oc == 0;
    const auto zero_point = static_cast<std::int32_t>(pick(random, -w_reach, w_reach));
    c.weight_zero_points.push_back(!problem.weight_zero_points ? 0
                                   : fresh                     ? zero_point
                                                               : c.weight_zero_points[0]);
  }
  const std::int64_t lowest = info(problem.output_dtype).quant_min;
  const double input_scale = pick_scale(random, data);
  const std::int64_t input_zero_point = info(problem.input_dtype).quant_min + pick(random, 0, 255);
  std::vector<double> weight_scales;
  for (std::int64_t oc = 0; oc < g.out_channels; ++oc) weight_scales.push_back(pick_scale(random, data));
  if (problem.weight_scheme == WeightScheme::per_tensor) weight_scales.resize(1);
  // Outputs that mostly fall inside the range: the sum of n products of spread s has spread s * sqrt(n).
  const double spread =
      74.0 * static_cast<double>(w_reach) * 0.6 * std::sqrt(static_cast<double>(g.reduction()));
  double output_scale = input_scale * weight_scales[0] * spread / 60;
  if (data == Data::ties) output_scale = std::exp2(std::round(std::log2(output_scale)));
  std::vector<float> bias;
  for (std::int64_t oc = 0; problem.bias && oc < g.out_channels; ++oc) {
    const double units = static_cast<double>(pick(random, -60, 60));
    bias.push_back(
        static_cast<float>(data == Data::ties ? units * output_scale / 2 : units * output_scale * 0.317));
  }
  if (has_add(problem.post_op)) {
    c.addend.resize(static_cast<std::size_t>(dense_size(problem.output_sizes())));
    for (auto& x : c.addend) x = static_cast<std::uint8_t>(pick(random, 0, 255));
  }
  c.requantization = make_requantization({.input_scale = input_scale,
                                          .input_zero_point = input_zero_point,
                                          .weight_scheme = problem.weight_scheme,
                                          .weight_scales = weight_scales,
                                          .bias = bias,
                                          .output_scale = output_scale,
                                          .output_zero_point = lowest + pick(random, 0, 255),
                                          .output_dtype = problem.output_dtype,
                                          .relu = has_relu(problem.post_op),
                                          .addend_scale = output_scale * 0.43,
                                          .addend_zero_point = lowest + pick(random, 0, 255),
                                          .accumulator_bound = 0,
                                          .rule = RequantRule::fbgemm},
                                         g.out_channels, "test");
  return c;
}

CaseWeights::CaseWeights(const ConvCase& c)
    : sums(engines::weight_sums(c.problem.geometry, c.weights.data(), c.weight_zero_points)),
      view{c.weights.data(), c.weight_zero_points, sums} {}

std::shared_ptr<const engines::PackedWeights> pack_case(const engines::Engine& engine, const ConvCase& c) {
  return engine.pack(c.problem.geometry, CaseWeights(c).view);
}

std::vector<std::uint8_t> run_case(const engines::Engine& engine, const ConvCase& c, ThreadPool& pool) {
  const auto packed = pack_case(engine, c);
  const auto prepared = engine.prepare(packed, c.problem, c.requantization);
  GuardedBuffer input(c.input);
  GuardedBuffer addend(c.addend);
  GuardedBuffer output(static_cast<std::size_t>(dense_size(c.problem.output_sizes())));
  prepared->run({input.data(), c.addend.empty() ? nullptr : addend.data(), output.data()}, pool);
  return output.copy();
}

namespace {

// Sizes next to what kernels work in: vectors of 16, tiles of 64, steps of 4.
std::int64_t channels_per_group(std::mt19937_64& random, bool grouped) {
  if (grouped) return one_of<std::int64_t>(random, {1, 1, 1, 2, 3, 4, 5, 8, 16, 17});
  return one_of<std::int64_t>(random,
                              {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 80, 127, 130});
}

void random_geometry(std::mt19937_64& random, ConvGeometry& g) {
  g.ndim = static_cast<int>(pick(random, 1, 3));
  g.transposed = pick(random, 0, 3) == 0;
  g.groups = pick(random, 0, 2) == 0 ? one_of<std::int64_t>(random, {2, 3, 4, 7, 16, 32}) : 1;
  g.in_channels = g.groups * channels_per_group(random, g.groups > 1);
  g.out_channels = g.groups * channels_per_group(random, g.groups > 1);
  if (!g.transposed && pick(random, 0, 1) == 0) g.padding_mode = static_cast<PaddingMode>(pick(random, 0, 3));
  for (int i = 0; i < g.ndim; ++i) {
    const auto d = static_cast<std::size_t>(2 - i);
    g.kernel[d] = pick(random, 1, g.ndim == 3 ? 3 : 5);
    g.stride[d] = pick(random, 1, 3);
    g.dilation[d] = pick(random, 1, 2);
    g.padding_begin[d] = pick(random, 0, 3);
    g.padding_end[d] = pick(random, 0, 2) == 0 ? pick(random, 0, 3) : g.padding_begin[d];
    if (g.transposed) g.output_padding[d] = pick(random, 0, std::max(g.stride[d], g.dilation[d]) - 1);
  }
}

}  // namespace

bool suits_test(const ConvProblem& p) {
  try {
    p.validate("random");
  } catch (const qconv::Error&) {
    return false;  // the input is too small for the kernel, or the padding too large for the mode
  }
  // An empty batch may have any output size in a problem; a tensor may not.
  const Spatial output = p.output();
  return *std::min_element(output.begin(), output.end()) >= 0 && p.multiply_adds() < 3'000'000;
}

ConvProblem random_problem(std::mt19937_64& random) {
  for (;;) {
    ConvProblem p;
    random_geometry(random, p.geometry);
    p.batch = one_of<std::int64_t>(random, {0, 1, 1, 1, 1, 2, 2, 2, 3});
    for (int i = 0; i < p.geometry.ndim; ++i) {
      p.input[static_cast<std::size_t>(2 - i)] = pick(random, 1,
                                                      p.geometry.ndim == 1   ? 40
                                                      : p.geometry.ndim == 2 ? 12
                                                                             : 6);
    }
    p.input_dtype = one_of(random, {quint8, qint8});
    p.output_dtype = one_of(random, {quint8, qint8});
    p.weight_scheme = one_of(random, {WeightScheme::per_tensor, WeightScheme::per_channel});
    p.weight_zero_points = pick(random, 0, 3) == 0;
    p.bias = pick(random, 0, 3) != 0;
    p.post_op = static_cast<PostOp>(pick(random, 0, 3));
    if (suits_test(p)) return p;
  }
}

namespace {

class ShufflingPool final : public ThreadPool {
 public:
  explicit ShufflingPool(int threads) : threads_(threads) {}
  int num_threads() const noexcept override { return threads_; }
  void parallelize(std::size_t count, void (*task)(void*, std::size_t), void* context) override {
    std::vector<std::size_t> order(count);
    for (std::size_t i = 0; i < count; ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), std::mt19937_64(count));
    std::atomic<std::size_t> next{0};
    std::vector<std::jthread> workers;
    for (int t = 0; t < threads_; ++t) {
      workers.emplace_back([&] {
        for (std::size_t i = next++; i < count; i = next++) task(context, order[i]);
      });
    }
  }

 private:
  int threads_;
};

}  // namespace

std::unique_ptr<ThreadPool> make_pool(int threads) { return std::make_unique<ShufflingPool>(threads); }

}  // namespace qconv::testing

#pragma once

#include <memory>
#include <string>

#include <qconv/conv_problem.hpp>
#include <qconv/float_convolution.hpp>

#include "support/thread_pool.hpp"

namespace qconv::engines {

/// A float convolution with its input size. The padding mode is zeros: other padding is done before.
struct FloatProblem {
  ConvGeometry geometry;
  std::int64_t batch = 1;
  Spatial input{1, 1, 1};
  FloatPostOp post_op;

  Spatial output() const noexcept { return geometry.output_spatial(input); }
};

/// The memory of one call: channels-last and dense. `addend` is null unless the post op adds.
struct FloatArgs {
  const float* input;
  const float* addend;
  float* output;
};

/// A float convolution ready to run, immutable: any number of threads may run it at once.
class FloatPlan {
 public:
  virtual ~FloatPlan() = default;
  virtual std::string kernel() const = 0;
  virtual void run(const FloatArgs& args, ThreadPool& pool) const = 0;
};

/// y = limit(y + addend) over the whole output, for plans that cannot do it on the way.
void apply_post_op(const FloatProblem& problem, const FloatArgs& args, ThreadPool& pool);

/// qconv's own loops; they run everything. `weight` is row major in PyTorch's layout, `bias` may be null;
/// both are copied.
std::unique_ptr<const FloatPlan> prepare_plain(const FloatProblem& problem, const float* weight,
                                               const float* bias);

/// oneDNN for runs on `threads` threads; null where this build has none, or where it has nothing but its
/// slow reference code for such a convolution.
std::unique_ptr<const FloatPlan> prepare_onednn(const FloatProblem& problem, const float* weight,
                                                const float* bias, int threads);

/// "2.6.3"; empty in a build without oneDNN.
std::string onednn_version();

}  // namespace qconv::engines

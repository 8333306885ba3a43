#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <qconv/conv_problem.hpp>

#include "engines/weight_sums.hpp"
#include "quantize/requantization.hpp"
#include "support/thread_pool.hpp"

namespace qconv::engines {

/// Weights as the caller has them, checked: row major, PyTorch's layout (ConvGeometry::weight_sizes). The
/// other members have one element per output channel.
struct WeightView {
  const std::int8_t* values;
  std::span<const std::int32_t> zero_points;
  std::span<const WeightSums> sums;
  std::shared_ptr<const void> owner = {};  ///< keeps `values` as they are; null where the caller does
  bool from_memory = false;  ///< other weights will have pushed these out of the caches by the next run
};

/// What an engine keeps of the weights; immutable.
class PackedWeights {
 public:
  virtual ~PackedWeights() = default;
  /// Name of the kernel family, instruction set and tile that run these weights, unless the problem makes
  /// another family the faster one: see Prepared::kernel_name().
  virtual std::string kernel() const = 0;
};

/// The memory of one call: channels-last and dense, all of it. `addend` is null unless the problem has one.
struct RunArgs {
  const void* input;
  const void* addend;
  void* output;
};

/// A convolution ready to run: everything decided. Immutable, so that any number of threads may run it at
/// once.
class Prepared {
 public:
  virtual ~Prepared() = default;
  virtual void run(const RunArgs& args, ThreadPool& pool) const = 0;
  /// What was decided (tile, cut into tasks, threads, scratch memory), as one line without commas.
  virtual std::string explain() const { return "plain loops"; }
  /// Name of the kernel that runs, as PackedWeights::kernel().
  virtual std::string kernel_name() const = 0;
};

/// One implementation of quantized convolution. Nothing here validates what a user gave: ops/ has done that.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string_view name() const noexcept = 0;
  /// Empty when the engine can run such a convolution, else the reason why not, as a clause ("groups must
  /// ...").
  virtual std::string declines(const ConvGeometry& geometry) const = 0;
  /// An engine that reads `weights.values` later keeps their owner; where there is none, the caller keeps
  /// them for as long as there is the result. The rest is copied.
  virtual std::shared_ptr<const PackedWeights> pack(const ConvGeometry& geometry,
                                                    const WeightView& weights) const = 0;
  /// `weights` come from pack() of this engine and are kept alive by the result.
  virtual std::unique_ptr<const Prepared> prepare(std::shared_ptr<const PackedWeights> weights,
                                                  const ConvProblem& problem,
                                                  Requantization requantization) const = 0;
};

/// Every engine of this build, fastest first; `reference` is last and accepts everything.
std::span<const Engine* const> all();

/// The engine of that name; throws ValueError listing the names there are.
const Engine& find(std::string_view name);

/// The engine for a new set of weights: the one named (or, when empty, named by QCONV_ENGINE), else the first
/// that accepts. Throws ValueError with the engine's reason when the one named declines.
const Engine& choose(const ConvGeometry& geometry, std::string_view name);

}  // namespace qconv::engines

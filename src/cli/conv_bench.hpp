#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <qconv/conv_problem.hpp>

#include "engines/engine.hpp"
#include "support/aligned_buffer.hpp"

namespace qconv::cli {

/// A convolution with data for it, packed and prepared: what the benchmark runs. Full-range random values,
/// the input's zero point 12, outputs spread over their range. The data depends on nothing but the problem.
class ConvBench {
 public:
  /// Throws ValueError when the engine of that name (empty: the process's choice) cannot run the problem.
  ConvBench(const ConvProblem& problem, std::string_view engine);

  std::string_view engine() const { return engine_->name(); }
  /// What the plan decided, in one line.
  std::string explain() const { return prepared_->explain(); }
  std::string kernel() const { return prepared_->kernel_name(); }
  void run(ThreadPool& pool) { prepared_->run({input_.data(), addend_.data(), output_.data()}, pool); }

 private:
  const engines::Engine* engine_;
  AlignedBuffer<std::uint8_t> input_;  // these three as tensors have them
  AlignedBuffer<std::uint8_t> addend_;
  AlignedBuffer<std::uint8_t> output_;
  std::vector<std::int8_t> weights_;
  std::shared_ptr<const engines::PackedWeights> packed_;
  std::unique_ptr<const engines::Prepared> prepared_;
};

}  // namespace qconv::cli

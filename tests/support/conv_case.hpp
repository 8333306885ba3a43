#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include <qconv/conv_problem.hpp>
#include <qconv/tensor.hpp>

#include "engines/engine.hpp"

namespace qconv::testing {

/// A problem with data for it: everything an engine needs, made from a seed.
struct ConvCase {
  ConvProblem problem;
  std::vector<std::uint8_t> input;   ///< channels-last bytes, of the input's dtype
  std::vector<std::uint8_t> addend;  ///< channels-last bytes, of the output's dtype; empty without an addend
  std::vector<std::int8_t> weights;
  std::vector<std::int32_t> weight_zero_points;
  Requantization requantization;
};

/// How the data of a case is drawn.
enum class Data {
  random,   ///< full-range bytes, outputs spread over the output's range
  ties,     ///< scales that are powers of two: exact halves before rounding occur
  extreme,  ///< bytes and weights at the ends of their ranges: large accumulators, saturated outputs
};

ConvCase make_case(const ConvProblem& problem, std::uint64_t seed, Data data = Data::random);

/// The weights of a case as engines see them; the case must outlive them.
struct CaseWeights {
  explicit CaseWeights(const ConvCase& c);
  std::vector<engines::WeightSums> sums;
  engines::WeightView view;
};

/// The weights of a case, packed; the case must outlive them.
std::shared_ptr<const engines::PackedWeights> pack_case(const engines::Engine& engine, const ConvCase& c);

/// Packs, prepares and runs on buffers that fault when an access leaves them; the output's bytes,
/// channels-last.
std::vector<std::uint8_t> run_case(const engines::Engine& engine, const ConvCase& c, ThreadPool& pool);

/// Whether a problem is valid, and small enough that many can be tested.
bool suits_test(const ConvProblem& problem);

/// A valid problem drawn at random: every attribute, sizes around the tiles of the kernels.
ConvProblem random_problem(std::mt19937_64& random);

/// A pool that runs tasks on `threads` threads of its own, in shuffled order.
std::unique_ptr<ThreadPool> make_pool(int threads);

}  // namespace qconv::testing

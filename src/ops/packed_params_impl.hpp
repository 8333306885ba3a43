#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include <qconv/packed_params.hpp>

#include "engines/engine.hpp"

namespace qconv {

/// Everything that decides a plan besides the weights.
struct PlanKey {
  ConvProblem problem;
  double input_scale;
  std::int64_t input_zero_point;
  double output_scale;
  std::int64_t output_zero_point;
  double addend_scale;
  std::int64_t addend_zero_point;
  friend bool operator==(const PlanKey&, const PlanKey&) = default;
};

/// The last few plans made for one set of weights. Plans depend on input sizes and quantization parameters,
/// which in a network hardly ever change, so a short list under a lock does.
class PlanCache {
 public:
  /// The plan for `key`, made by `make()` (without holding the lock) when there is none yet.
  template <class Make>
  std::shared_ptr<const engines::Prepared> get(const PlanKey& key, const Make& make) {
    if (auto plan = find(key)) return plan;
    std::shared_ptr<const engines::Prepared> plan = make();
    insert(key, plan);
    return plan;
  }
  /// The plan made last; null before any.
  std::shared_ptr<const engines::Prepared> latest();

 private:
  std::shared_ptr<const engines::Prepared> find(const PlanKey& key);
  void insert(const PlanKey& key, std::shared_ptr<const engines::Prepared> plan);

  struct Entry {
    PlanKey key;
    std::shared_ptr<const engines::Prepared> plan;
  };
  std::mutex mutex_;
  std::vector<Entry> entries_;  // most recently made last
};

struct ConvPackedParams::Impl {
  ConvGeometry geometry;
  Tensor weight;
  std::optional<Tensor> bias;
  RequantRule rule = RequantRule::fbgemm;
  std::vector<double> weight_scales;  ///< one per output channel, or one for all
  bool weight_zero_points = false;
  std::int64_t accumulator_bound = 0;  ///< no accumulator of these weights exceeds it in magnitude
  const engines::Engine* engine = nullptr;
  std::shared_ptr<const engines::PackedWeights> packed;
  mutable PlanCache plans;
};

}  // namespace qconv

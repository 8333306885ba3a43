// Stands in for onednn.cpp and openmp_pool.cpp in builds with QCONV_WITH_ONEDNN=OFF.
#include "engines/floating/float_plan.hpp"
#include "engines/floating/float_pool.hpp"

namespace qconv::engines {

std::unique_ptr<const FloatPlan> prepare_onednn(const FloatProblem&, const float*, const float*, int) {
  return nullptr;
}

std::string onednn_version() { return {}; }

std::shared_ptr<ThreadPool> float_pool() { return current_pool(); }

}  // namespace qconv::engines

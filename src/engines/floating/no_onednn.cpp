// Stands in for onednn.cpp in builds with QCONV_WITH_ONEDNN=OFF.
#include "engines/floating/float_plan.hpp"

namespace qconv::engines {

std::unique_ptr<const FloatPlan> prepare_onednn(const FloatProblem&, const float*, const float*, int) {
  return nullptr;
}

std::string onednn_version() { return {}; }

}  // namespace qconv::engines

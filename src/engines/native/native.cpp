#include "engines/native/native.hpp"

#include "engines/native/pack.hpp"
#include "engines/native/pack_depthwise.hpp"
#include "engines/native/prepared_depthwise.hpp"
#include "engines/native/prepared_igemm.hpp"

namespace qconv::engines {
namespace {

class NativeEngine final : public Engine {
 public:
  explicit NativeEngine(Isa isa)
      : igemm_{igemm::select(isa, false), igemm::select(isa, true)}, depthwise_(depthwise::select(isa)) {}

  std::string_view name() const noexcept override { return "native"; }
  std::string declines(const ConvGeometry&) const override { return {}; }

  std::shared_ptr<const PackedWeights> pack(const ConvGeometry& geometry,
                                            const WeightView& weights) const override {
    if (is_depthwise(geometry, weights)) return pack_depthwise(geometry, weights, depthwise_);
    return pack_igemm(geometry, weights, igemm_);
  }

  std::unique_ptr<const Prepared> prepare(std::shared_ptr<const PackedWeights> weights,
                                          const ConvProblem& problem,
                                          Requantization requantization) const override {
    if (auto packed = std::dynamic_pointer_cast<const PackedDepthwise>(weights)) {
      return prepare_depthwise(std::move(packed), problem, requantization);
    }
    return prepare_igemm(std::static_pointer_cast<const PackedIgemm>(std::move(weights)), problem,
                         requantization);
  }

 private:
  IgemmKernels igemm_;
  const depthwise::Kernel& depthwise_;
};

}  // namespace

const Engine& native() {
  static const NativeEngine engine(active_isa());
  return engine;
}

std::unique_ptr<const Engine> make_native(Isa isa) { return std::make_unique<NativeEngine>(isa); }

}  // namespace qconv::engines

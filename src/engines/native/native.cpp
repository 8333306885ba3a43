#include "engines/native/native.hpp"

#include "engines/native/pack.hpp"
#include "engines/native/pack_depthwise.hpp"
#include "engines/native/pack_winograd.hpp"
#include "engines/native/prepared_depthwise.hpp"
#include "engines/native/prepared_igemm.hpp"
#include "engines/native/prepared_winograd.hpp"
#include "engines/native/winograd_choice.hpp"
#include "support/check.hpp"
#include "support/environment.hpp"

namespace qconv::engines {
namespace {

class NativeEngine final : public Engine {
 public:
  NativeEngine(Isa isa, KernelUse use)
      : igemm_{igemm::select(isa, false), igemm::select(isa, true), wanted_tiles(isa, use.tiles),
               use.tiles == Use::always},
        depthwise_(depthwise::select(isa)),
        winograd_(use.winograd == Use::never ? nullptr : winograd::select(isa)),
        winograd_use_(use.winograd) {}

  std::string_view name() const noexcept override { return "native"; }
  std::string declines(const ConvGeometry&) const override { return {}; }

  std::shared_ptr<const PackedWeights> pack(const ConvGeometry& geometry,
                                            const WeightView& weights) const override {
    if (is_depthwise(geometry, weights)) return pack_depthwise(geometry, weights, depthwise_);
    auto packed = pack_igemm(geometry, weights, igemm_);
    if (winograd_ == nullptr || !winograd_declines(geometry, weights).empty()) return packed;
    return std::make_shared<PackedWinograd>(geometry, weights, *winograd_, std::move(packed));
  }

  std::unique_ptr<const Prepared> prepare(std::shared_ptr<const PackedWeights> weights,
                                          const ConvProblem& problem,
                                          Requantization requantization) const override {
    if (auto packed = std::dynamic_pointer_cast<const PackedDepthwise>(weights)) {
      return prepare_depthwise(std::move(packed), problem, requantization);
    }
    if (auto packed = std::dynamic_pointer_cast<const PackedWinograd>(weights)) {
      if (winograd_use_ == Use::always || winograd_is_faster(*packed, problem)) {
        return prepare_winograd(std::move(packed), problem, requantization);
      }
      weights = packed->general();
    }
    return prepare_igemm(std::static_pointer_cast<const PackedIgemm>(std::move(weights)), problem,
                         requantization);
  }

 private:
  static std::span<const igemm::Kernel> wanted_tiles(Isa isa, Use use) {
    const bool wanted = use == Use::always || (use == Use::fastest && isa != Isa::scalar);
    return wanted ? igemm::select_tiles(isa) : std::span<const igemm::Kernel>{};
  }

  IgemmKernels igemm_;
  const depthwise::Kernel& depthwise_;
  const winograd::Kernel* winograd_;  // null when it is never to run
  Use winograd_use_;
};

Use wanted_use(const char* variable) {
  const std::string wanted = environment_text(variable).value_or("fastest");
  check(wanted == "fastest" || wanted == "always" || wanted == "never",
        "{}='{}' is none of 'fastest', 'always' and 'never'", variable, wanted);
  return wanted == "always" ? Use::always : wanted == "never" ? Use::never : Use::fastest;
}

}  // namespace

const Engine& native() {
  static const NativeEngine engine(active_isa(), {wanted_use("QCONV_WINOGRAD"), wanted_use("QCONV_TILES")});
  return engine;
}

std::unique_ptr<const Engine> make_native(Isa isa, KernelUse use) {
  return std::make_unique<NativeEngine>(isa, use);
}

}  // namespace qconv::engines

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
  NativeEngine(Isa isa, WinogradUse use)
      : igemm_{igemm::select(isa, false), igemm::select(isa, true), igemm::select_tiles(isa)},
        depthwise_(depthwise::select(isa)),
        winograd_(use == WinogradUse::never ? nullptr : winograd::select(isa)),
        winograd_use_(use) {}

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
      if (winograd_use_ == WinogradUse::always || winograd_is_faster(*packed, problem)) {
        return prepare_winograd(std::move(packed), problem, requantization);
      }
      weights = packed->general();
    }
    return prepare_igemm(std::static_pointer_cast<const PackedIgemm>(std::move(weights)), problem,
                         requantization);
  }

 private:
  IgemmKernels igemm_;
  const depthwise::Kernel& depthwise_;
  const winograd::Kernel* winograd_;  // null when it is never to run
  WinogradUse winograd_use_;
};

WinogradUse wanted_winograd_use() {
  const std::string wanted = environment_text("QCONV_WINOGRAD").value_or("fastest");
  check(wanted == "fastest" || wanted == "always" || wanted == "never",
        "QCONV_WINOGRAD='{}' is none of 'fastest', 'always' and 'never'", wanted);
  return wanted == "always"  ? WinogradUse::always
         : wanted == "never" ? WinogradUse::never
                             : WinogradUse::fastest;
}

}  // namespace

const Engine& native() {
  static const NativeEngine engine(active_isa(), wanted_winograd_use());
  return engine;
}

std::unique_ptr<const Engine> make_native(Isa isa, WinogradUse winograd) {
  return std::make_unique<NativeEngine>(isa, winograd);
}

}  // namespace qconv::engines

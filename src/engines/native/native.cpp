#include "engines/native/native.hpp"

#include "engines/native/pack.hpp"
#include "engines/native/prepared_igemm.hpp"

namespace qconv::engines {
namespace {

class NativeEngine final : public Engine {
 public:
  explicit NativeEngine(Isa isa) : kernel_(igemm::select(isa)) {}

  std::string_view name() const noexcept override { return "native"; }
  std::string declines(const ConvGeometry&) const override { return {}; }

  std::shared_ptr<const PackedWeights> pack(const ConvGeometry& geometry,
                                            const WeightView& weights) const override {
    return pack_igemm(geometry, weights, kernel_);
  }

  std::unique_ptr<const Prepared> prepare(std::shared_ptr<const PackedWeights> weights,
                                          const ConvProblem& problem,
                                          Requantization requantization) const override {
    return prepare_igemm(std::static_pointer_cast<const PackedIgemm>(std::move(weights)), problem,
                         requantization);
  }

 private:
  const igemm::Kernel& kernel_;
};

}  // namespace

const Engine& native() {
  static const NativeEngine engine(active_isa());
  return engine;
}

std::unique_ptr<const Engine> make_native(Isa isa) { return std::make_unique<NativeEngine>(isa); }

}  // namespace qconv::engines

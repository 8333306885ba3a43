#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engines/engine.hpp"
#include "engines/native/kernels/winograd/registry.hpp"
#include "support/aligned_buffer.hpp"

namespace qconv::engines {

/// Transformed weights: four times as many as there are weights, in 16 bits.
struct WinogradWeights {
  /// The output channels of one `multiply`: vectors of the kernel, as equally many as can be.
  struct Panel {
    std::int64_t first;
    std::int64_t columns;
    std::int64_t vectors;
    std::size_t offset;  ///< into `values`
  };
  std::vector<Panel> panels;
  AlignedBuffer<std::int16_t> values;  ///< per panel [point][depth tap][channels / 2][columns][2]
};

/// Weights that both the Winograd kernels and others can run. They are transformed when the first plan asks
/// for it, which most sets of weights never do.
class PackedWinograd final : public PackedWeights {
 public:
  PackedWinograd(const ConvGeometry& geometry, const WeightView& weights, const winograd::Kernel& kernel,
                 std::shared_ptr<const PackedWeights> general);

  std::string kernel() const override { return general_->kernel(); }

  const ConvGeometry& geometry() const noexcept { return geometry_; }
  const winograd::Kernel& kernel_row() const noexcept { return kernel_; }
  /// The same weights for the kernels that run every problem.
  const std::shared_ptr<const PackedWeights>& general() const noexcept { return general_; }
  /// See WeightView.
  bool from_memory() const noexcept { return from_memory_; }
  /// Transforms the weights in the first call; any thread may make it.
  const WinogradWeights& transformed() const;
  /// The least and the greatest sum of an output channel over all inputs, whose zero point is `za` in bytes
  /// from 0 to 255.
  std::int64_t least_sum(std::int64_t oc, std::int64_t za) const noexcept;
  std::int64_t greatest_sum(std::int64_t oc, std::int64_t za) const noexcept;

 private:
  void transform() const;

  ConvGeometry geometry_;
  const winograd::Kernel& kernel_;
  std::shared_ptr<const PackedWeights> general_;
  const std::int8_t* values_;
  std::shared_ptr<const void> owner_;  // of these
  bool from_memory_;
  std::vector<std::int32_t> zero_points_;
  std::vector<WeightSums> sums_;
  mutable std::once_flag once_;
  mutable WinogradWeights transformed_;
};

/// Empty when the Winograd kernels can run such weights, else why not, as a clause.
std::string winograd_declines(const ConvGeometry& geometry, const WeightView& weights);

}  // namespace qconv::engines

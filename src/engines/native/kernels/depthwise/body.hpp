#pragma once

#include "engines/native/kernels/depthwise/depthwise.hpp"
#include "engines/native/kernels/finish_block.hpp"

/// The one body of every depthwise kernel, over the vector type V of an instruction set
/// (engines/native/simd). Internal linkage throughout.
namespace qconv::engines::depthwise {
namespace {

// A block of channels is four vectors of sums, in the order in which packing them back to bytes restores the
// channels.
inline constexpr int kVectors = 4;

template <class V>
inline constexpr std::size_t kColumnBytes = kVectors* V::kLanes* kStep;

template <class V>
void interleave_columns(const Args& args) noexcept {
  const std::uint8_t* const* p = args.pixels;
  std::uint8_t* to = args.scratch;
  for (std::size_t c = 0; c < args.columns; ++c, p += kStep, to += kColumnBytes<V>) {
    const std::size_t at = args.channel_offset;
    V::interleave(p[0] + at, p[1] + at, p[2] + at, p[3] + at, args.channels, args.flip, to);
  }
}

// `Outputs` neighbouring outputs, which share the loads of the weights.
template <class V, int Outputs, bool Add>
void run_outputs(const Args& args, std::size_t first) noexcept {
  typename V::Accumulator sums[Outputs][kVectors];
  for (int v = 0; v < kVectors; ++v) {
    const auto initial = V::load_sums(args.epilogue.initial + v * V::kLanes);
    for (int o = 0; o < Outputs; ++o) sums[o][v] = initial;
  }
  const std::size_t stride = args.output_stride * kColumnBytes<V>;
  const std::uint8_t* base = args.scratch + first * stride;
  const std::int8_t* weights = args.weights;
  for (std::size_t j = 0; j < args.steps; ++j, weights += kColumnBytes<V>) {
    const std::uint8_t* column = base + args.step_columns[j] * kColumnBytes<V>;
    for (int v = 0; v < kVectors; ++v) {
      const std::size_t at = static_cast<std::size_t>(v) * V::kLanes * kStep;
      const auto w = V::load_weights(weights + at);
      for (int o = 0; o < Outputs; ++o) {
        sums[o][v] =
            V::dot(sums[o][v], V::load_activations(column + static_cast<std::size_t>(o) * stride + at), w);
      }
    }
  }
  for (int o = 0; o < Outputs; ++o) {
    const std::int64_t at = args.output_offsets[first + static_cast<std::size_t>(o)];
    finish_block<V, Add>(args.epilogue, sums[o], args.channels, args.addend + (Add ? at : 0),
                         args.output + at);
  }
}

template <class V, int Outputs, bool Add>
void run_row(const Args& args) noexcept {
  std::size_t output = 0;
  for (; output + Outputs <= args.outputs; output += Outputs) run_outputs<V, Outputs, Add>(args, output);
  for (; output < args.outputs; ++output) run_outputs<V, 1, Add>(args, output);
}

template <class V, int Outputs>
void run(const Args& args) noexcept {
  interleave_columns<V>(args);
  args.addend == nullptr ? run_row<V, Outputs, false>(args) : run_row<V, Outputs, true>(args);
}

}  // namespace
}  // namespace qconv::engines::depthwise

/// Defines the function of one row of kernels.inc.
#define QCONV_DEFINE_DEPTHWISE(isa, V, outputs, block)                                                      \
  namespace qconv::engines::depthwise {                                                                     \
  static_assert((block) == kVectors * V::kLanes);                                                           \
  void qx8qs8_depthwise_##outputs##x##block##c4_##isa(const Args& args) noexcept { run<V, outputs>(args); } \
  }

#include "engines/native/simd/scalar.hpp"

#include <cstring>

#include "engines/native/kernels/tiles/tiles.hpp"

// Tile registers in plain loops: what their instructions compute, for processors that lack them. Never the
// fastest, but tests run them wherever they run.
namespace qconv::engines::igemm {
namespace {

void begin() noexcept {}

void end() noexcept {}

void gather(const std::uint8_t* const* pixels, std::size_t count, std::size_t bytes, std::uint8_t* to,
            std::size_t step) noexcept {
  for (std::size_t i = 0; i < count; ++i) std::memcpy(to + i * step, pixels[i], bytes);
}

// The sum of the products of a register's row and a column of weights, which are `step` bytes apart in fours.
template <bool Signed>
std::int32_t dot(std::int32_t sum, const std::uint8_t* bytes, const std::int8_t* weights,
                 std::size_t step) noexcept {
  auto total = static_cast<std::uint32_t>(sum);  // wraps where the exact sum does not
  for (std::size_t i = 0; i < kRunBytes; ++i) {
    const std::int32_t byte = Signed ? static_cast<std::int8_t>(bytes[i]) : bytes[i];
    total += static_cast<std::uint32_t>(byte * weights[i / kStep * step + i % kStep]);
  }
  return static_cast<std::int32_t>(total);
}

template <int Vectors, bool Signed>
void run(const Args& args) noexcept {
  constexpr std::size_t kColumns = Vectors * simd::Scalar::kLanes;
  constexpr std::size_t kStepBytes = kColumns * kStep;
  std::int32_t sums[2 * kRunPixels * kColumns];
  std::int64_t offset = args.channel_offset;
  for (std::size_t t = 0; t < args.tiles; ++t, offset += args.input_step) {
    const std::size_t rows = args.rows > kRunPixels ? 2 * kRunPixels : kRunPixels;  // whole registers
    for (std::size_t i = 0; i < rows * kColumns; ++i) sums[i] = args.epilogue.initial[i % kColumns];
    for (std::size_t tap = 0; tap < args.taps; ++tap) {
      for (std::size_t row = 0; row < rows; ++row) {
        const PixelRun& pixels = args.runs[2 * tap + row / kRunPixels];
        const std::uint8_t* p =
            pixels.first + offset + static_cast<std::int64_t>(row % kRunPixels) * pixels.step;
        const std::int8_t* weights = args.weights + args.tap_indices[tap] * args.tap_bytes;
        for (std::size_t c = 0; c < args.channels;
             c += kRunBytes, weights += kRunBytes / kStep * kStepBytes) {
          for (std::size_t column = 0; column < kColumns; ++column) {
            std::int32_t& sum = sums[row * kColumns + column];
            sum = dot<Signed>(sum, p + c, weights + column * kStep, kStepBytes);
          }
        }
      }
    }
    finish_spans<simd::Scalar, Vectors>(args, t, sums);
  }
}

}  // namespace

QCONV_DEFINE_TILE_UNIT(scalar)
QCONV_DEFINE_TILES(scalar, 32, 4, 4)

}  // namespace qconv::engines::igemm

#include <immintrin.h>

#include "engines/native/kernels/tiles/tiles.hpp"
#include "engines/native/simd/avx512vnni.hpp"

// AMX's tile registers, whose sums AVX-512 finishes. 0 to 3 are the sums: two runs of 16 pixels by two
// vectors of columns. 4 and 5 are the runs' bytes, 6 and 7 the weights: 16 dot products of 4 bytes. The
// instructions name their registers, hence the literals.
namespace qconv::engines::igemm {
namespace {

using V = simd::Avx512Vnni;

// What ldtilecfg reads.
struct alignas(64) Shapes {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

constexpr Shapes kShapes;

// The last tile of this thread, whose sums are not yet what the caller wants: row by row they become it while
// the next tile is multiplied, since tiles and vectors are units of their own.
struct Pending {
  void (*finish)(const Args& args, std::size_t tile, const std::int32_t* sums) noexcept;
  Args args;
  std::size_t tile;
  std::size_t span;      // of args, up to which it is finished ...
  std::size_t done;      // ... and this many rows of it
  std::size_t row_sums;  // in a row of `sums`
  int buffer;
  alignas(64) std::int32_t sums[2][32 * 32];

  bool any() const noexcept { return span < args.span_count; }
};

thread_local Pending pending;

// Finishes at most so many rows.
[[gnu::noinline]] void finish_rows(Pending& p, std::size_t rows) noexcept {
  while (rows > 0 && p.any()) {
    const RowSpan& span = p.args.spans[p.span];
    const std::size_t left = span.count - p.done;
    p.args.rows = left < rows ? left : rows;
    p.finish(p.args, p.tile, p.sums[p.buffer] + (span.first + p.done) * p.row_sums);
    p.args.output_offsets += p.args.rows;
    rows -= p.args.rows;
    p.done += p.args.rows;
    if (p.done < span.count) return;
    p.done = 0;
    ++p.span;
  }
}

void finish_rest(Pending& p) noexcept { finish_rows(p, 32); }

void begin() noexcept {
  pending.args.span_count = 0;
  asm volatile("ldtilecfg %0" : : "m"(kShapes));  // GCC 12's intrinsic reads eight bytes of it
}

void end() noexcept {
  finish_rest(pending);
  _tile_release();
}

void gather(const std::uint8_t* const* pixels, std::size_t count, std::size_t bytes, std::uint8_t* to,
            std::size_t step) noexcept {
  const std::size_t whole = bytes / 64 * 64;
  const auto rest = static_cast<__mmask64>((std::uint64_t{1} << (bytes % 64)) - 1U);
  for (std::size_t i = 0; i < count; ++i, to += step) {
    const std::uint8_t* from = pixels[i];
    for (std::size_t at = 0; at < whole; at += 64)
      _mm512_storeu_si512(to + at, _mm512_loadu_si512(from + at));
    if (rest != 0) _mm512_storeu_si512(to + whole, _mm512_maskz_loadu_epi8(rest, from + whole));
  }
}

#define QCONV_DOT(sums, pixels, weights) \
  if constexpr (Signed) {                \
    _tile_dpbssd(sums, pixels, weights); \
  } else {                               \
    _tile_dpbusd(sums, pixels, weights); \
  }

template <bool Signed, int Runs, int Vectors>
[[gnu::always_inline]] inline void multiply(const Args& args, std::int64_t offset, Pending& p,
                                            std::size_t rows_a_step) noexcept {
  constexpr std::int64_t kStepBytes = Vectors * 64;
  const PixelRun* runs = args.runs;
  for (std::size_t tap = 0; tap < args.taps; ++tap, runs += 2) {
    const std::int8_t* weights = args.weights + args.tap_indices[tap] * args.tap_bytes;
    const std::uint8_t* first = runs[0].first + offset;
    const std::uint8_t* second = runs[1].first + offset;
    for (std::size_t c = 0; c < args.channels;
         c += 64, weights += 16 * kStepBytes, first += 64, second += 64) {
      _tile_loadd(6, weights, kStepBytes);
      _tile_loadd(4, first, runs[0].step);
      QCONV_DOT(0, 4, 6)
      if constexpr (Vectors == 2) {
        _tile_loadd(7, weights + 64, kStepBytes);
        QCONV_DOT(1, 4, 7)
      }
      if constexpr (Runs == 2) {
        _tile_loadd(5, second, runs[1].step);
        QCONV_DOT(2, 5, 6)
        if constexpr (Vectors == 2) {
          QCONV_DOT(3, 5, 7)
        }
      }
      if (p.any()) finish_rows(p, rows_a_step);
    }
  }
}

template <bool Signed, int Runs, int Vectors>
void run_tiles(const Args& args) noexcept {
  constexpr std::int64_t kRowBytes = Vectors * 64;
  constexpr std::size_t kRunSums = 16 * Vectors * 16;
  const std::int32_t* const initial = args.epilogue.initial;
  Pending& p = pending;
  // As many rows with each step as finish the tile before, but not fewer than are worth a call.
  const std::size_t steps = args.taps * ((args.channels + 63) / 64);
  const std::size_t rows_a_step = steps < 8 ? (steps < 4 ? (steps < 2 ? 32 : 16) : 8) : 4;
  std::int64_t offset = args.channel_offset;
  for (std::size_t t = 0; t < args.tiles; ++t, offset += args.input_step) {
    _tile_loadd(0, initial, 0);
    if constexpr (Vectors == 2) _tile_loadd(1, initial + 16, 0);
    if constexpr (Runs == 2) _tile_loadd(2, initial, 0);
    if constexpr (Runs == 2 && Vectors == 2) _tile_loadd(3, initial + 16, 0);
    multiply<Signed, Runs, Vectors>(args, offset, p, rows_a_step);
    finish_rest(p);
    p.buffer ^= 1;
    std::int32_t* const sums = p.sums[p.buffer];
    _tile_stored(0, sums, kRowBytes);
    if constexpr (Vectors == 2) _tile_stored(1, sums + 16, kRowBytes);
    if constexpr (Runs == 2) _tile_stored(2, sums + kRunSums, kRowBytes);
    if constexpr (Runs == 2 && Vectors == 2) _tile_stored(3, sums + kRunSums + 16, kRowBytes);
    if (t == 0) {
      p.finish = finish_stored<V, Vectors>;
      p.row_sums = Vectors * 16;
      p.args = args;
    }
    p.args.output_offsets = args.output_offsets;
    p.tile = t;
    p.span = 0;
    p.done = 0;
  }
  // Sums of rows, for weights with zero points, are the caller's until it returns.
  if (args.epilogue.weight_zero_points != nullptr && p.any()) {
    finish_spans<V, Vectors>(args, p.tile, p.sums[p.buffer]);
    p.args.span_count = 0;
  }
}

template <int Vectors, bool Signed>
void run(const Args& args) noexcept {
  args.rows > 16 ? run_tiles<Signed, 2, Vectors>(args) : run_tiles<Signed, 1, Vectors>(args);
}

}  // namespace

QCONV_DEFINE_TILE_UNIT(amx)
QCONV_DEFINE_TILES(amx, 32, 32, 2)
QCONV_DEFINE_TILES(amx, 32, 16, 1)

}  // namespace qconv::engines::igemm

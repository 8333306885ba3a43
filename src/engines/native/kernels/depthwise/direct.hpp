#pragma once

#include "engines/native/kernels/depthwise/columns.hpp"
#include "engines/native/kernels/unrolled.hpp"

/// Output rows whose columns stay in registers, see depthwise::Direct. Internal linkage throughout.
namespace qconv::engines::depthwise {
namespace {

inline constexpr std::size_t kDirectSteps = 3;

// Whether bytes need no more than packing does to them, and fill their vectors.
template <class V>
bool is_plain(const Args& args) noexcept {
  const Epilogue& e = args.epilogue;
  return args.signed_input == V::kSignedBytes && args.channels * args.pixels == kVectors * V::kLanes &&
         args.addend == nullptr && e.bounded && e.bytes.hi == 0xff && args.output_flip == 0;
}

// Columns of one kind of call: `Pixels` side by side, from so many parts of the row, so that all of them move
// on by one output at a time; for `Rows` output rows, the next output `Advance` columns on. What does not
// change along the row is held by value, for registers.
template <class V, int Pixels, int Rows, int Advance, bool Plain>
struct DirectRows {
  static constexpr std::size_t kChannels = kVectors * V::kLanes / Pixels;
  static constexpr int kSourceRows = Rows == 1 && Advance == 2 ? 3 : 4;  // the fourth one's weights are 0
  static constexpr bool kHoldsTaps = Rows == 1;                          // else there are too many
  struct Column {
    typename V::Pixels v[kVectors];
  };

  const std::int8_t* weights;
  typename V::Taps taps[kDirectSteps][kVectors];
  const std::int32_t* parameters;
  std::size_t channels;
  std::int64_t row_step;
  Epilogue e;
  bool flips;
  bool adds;
  int zero_point;
  int lo;
  std::uint8_t output_flip;

  [[gnu::always_inline]] explicit DirectRows(const Args& args) noexcept
      : weights(args.weights),
        parameters(args.parameters),
        channels(Plain ? kChannels : args.channels),
        row_step(args.output_row_step),
        e(args.epilogue),
        flips(args.signed_input != V::kSignedBytes),
        adds(args.addend != nullptr),
        zero_point(args.epilogue.zero_point + args.output_flip),
        lo(static_cast<int>(args.epilogue.lo) + zero_point),
        output_flip(args.output_flip) {
    if constexpr (kHoldsTaps) {
      unrolled<kDirectSteps * kVectors>(
          QCONV_EACH(i) { taps[i / kVectors][i % kVectors] = V::load_taps(weights + i * V::kTapBytes); });
    }
  }

  [[gnu::always_inline]] typename V::Taps load_taps(std::size_t row, std::size_t step,
                                                    std::size_t v) const noexcept {
    if constexpr (kHoldsTaps) return taps[step][v];
    return V::load_taps(weights + ((row * kDirectSteps + step) * kVectors + v) * V::kTapBytes);
  }

  template <class Sources>
  [[gnu::always_inline]] Column column(const Sources& from) const noexcept {
    typename V::Pixels rows[kStep];
    unrolled<kSourceRows>(QCONV_EACH(t) {
      const auto pixel = [&](std::int64_t i) __attribute__((always_inline)) { return from.at[t][i]; };
      rows[t] = V::template load_pixels<Pixels>(pixel, Plain ? kChannels : channels);
      if (!Plain && flips) rows[t] = V::flip(rows[t]);
    });
    if constexpr (kSourceRows < kStep) rows[kSourceRows] = rows[kSourceRows - 1];
    Column column;
    V::make_column(rows, column.v);
    return column;
  }

  // Vector v of the sums of `Count` neighbouring outputs, scaled and rounded.
  template <int Count>
  [[gnu::always_inline]] void sum(std::size_t v, const Column* columns,
                                  const typename V::Pixels (&addends)[Rows][Count],
                                  typename V::Accumulator (&sums)[Rows][Count]) const noexcept {
    const auto initial = V::load_sums(parameters + v * V::kLanes);
    unrolled<Rows * Count>(QCONV_EACH(i) { sums[i / Count][i % Count] = initial; });
    unrolled<kDirectSteps * Rows>(QCONV_EACH(i) {
      constexpr int kRow = decltype(i)() / kDirectSteps;
      constexpr int kAt = decltype(i)() % kDirectSteps;
      const auto tap = load_taps(kRow, kAt, v);
      unrolled<Count>(QCONV_EACH(x) {
        sums[kRow][x] = V::dot_column(sums[kRow][x], columns[x * Advance + kAt].v[v], tap);
      });
    });
    const auto bias = V::bit_floats(V::load_sums(parameters + (kVectors + v) * V::kLanes));
    const auto multiplier = V::bit_floats(V::load_sums(parameters + (2 * kVectors + v) * V::kLanes));
    unrolled<Rows * Count>(QCONV_EACH(i) {
      auto& value = sums[i / Count][i % Count];
      auto scaled = V::scale(value, bias, e.bias_scale, multiplier);
      if (!Plain && adds) {
        scaled = V::add_widened(scaled, V::widen(addends[i / Count][i % Count], v), e.addend_zero_point,
                                e.addend_multiplier);
      }
      value = Plain ? V::round(scaled) : V::round_below(scaled, e.hi);
    });
  }

  // `Count` neighbouring outputs, `step` apart; part i of each at part(i).
  template <int Count, class Part>
  [[gnu::always_inline]] void finish(const Column* columns, const std::uint8_t* addend, std::uint8_t* output,
                                     std::int64_t step, const Part& part) const noexcept {
    const auto offset = [&](int i) __attribute__((always_inline)) {
      return i / Count * row_step + i % Count * step;
    };
    typename V::Pixels addends[Rows][Count];
    if (!Plain && adds) {
      unrolled<Rows * Count>(QCONV_EACH(n) {
        const auto pixel = [&](std::int64_t i) __attribute__((always_inline)) {
          return addend + offset(n) + part(i);
        };
        auto& to = addends[n / Count][n % Count];
        to = V::template load_pixels<Pixels>(pixel, channels);
        if (e.addend_flip != 0) to = V::flip(to);
      });
    }
    typename V::Accumulator a[Rows][Count];
    typename V::Accumulator b[Rows][Count];
    typename V::Pairs lower[Rows][Count];
    sum<Count>(0, columns, addends, a);
    sum<Count>(1, columns, addends, b);
    unrolled<Rows * Count>(QCONV_EACH(n) {
      lower[n / Count][n % Count] = V::pack_pairs(a[n / Count][n % Count], b[n / Count][n % Count]);
    });
    sum<Count>(2, columns, addends, a);
    sum<Count>(3, columns, addends, b);
    unrolled<Rows * Count>(QCONV_EACH(n) {
      const auto upper = V::pack_pairs(a[n / Count][n % Count], b[n / Count][n % Count]);
      const auto bytes = V::pack_bytes(lower[n / Count][n % Count], upper, zero_point, lo,
                                       Plain ? std::uint8_t{0} : output_flip);
      const auto to = [&](std::int64_t i) __attribute__((always_inline)) {
        return output + offset(n) + part(i);
      };
      V::template store_pixels<Pixels>(bytes, to, Plain ? kChannels : channels);
    });
  }
};

// Where the rows of a column are, of each part of the row.
template <int SourceRows, int Pixels>
struct DirectSources {
  const std::uint8_t* at[SourceRows][Pixels];

  [[gnu::always_inline]] void advance(std::int64_t spacing) noexcept {
    unrolled<SourceRows * Pixels>(QCONV_EACH(n) { at[n / Pixels][n % Pixels] += spacing; });
  }
};

// What of a call tells where columns and outputs are. Parts are of equal length; the last may begin within
// the one before, whose bytes it writes again.
template <int SourceRows, int Pixels, int Advance>
class DirectPlan {
 public:
  explicit DirectPlan(const Args& args) noexcept
      : args_(args),
        outputs_(static_cast<std::int64_t>(args.outputs)),
        length_((outputs_ + Pixels - 1) / Pixels) {}

  std::int64_t length() const noexcept { return length_; }
  std::int64_t start(std::int64_t part) const noexcept {
    return part * length_ < outputs_ - length_ ? part * length_ : outputs_ - length_;
  }
  void first(DirectSources<SourceRows, Pixels>& to) const noexcept {
    inside(-1, to);
    for (std::int64_t i = 0; i < Pixels; ++i) {
      if (start(i) == 0) border(args_.direct.first, i, to);
    }
  }
  void second(DirectSources<SourceRows, Pixels>& to) const noexcept { inside(0, to); }
  // Of parts that end where the row does; the others go on.
  void last(DirectSources<SourceRows, Pixels>& to) const noexcept {
    for (std::int64_t i = 0; i < Pixels; ++i) {
      if (start(i) + length_ == outputs_) border(args_.direct.last, i, to);
    }
  }

 private:
  // Column `ahead` after the second of each part's first output.
  void inside(std::int64_t ahead, DirectSources<SourceRows, Pixels>& to) const noexcept {
    for (int t = 0; t < SourceRows; ++t) {
      for (std::int64_t i = 0; i < Pixels; ++i) {
        const std::int64_t shift = (Advance * start(i) + ahead) * args_.direct.spacing;
        to.at[t][i] =
            args_.rows[t] >= 0 ? args_.image + args_.rows[t] + args_.direct.second + shift : args_.zeros;
      }
    }
  }
  void border(std::int64_t offset, std::int64_t part, DirectSources<SourceRows, Pixels>& to) const noexcept {
    for (int t = 0; t < SourceRows; ++t) {
      to.at[t][part] = args_.rows[t] >= 0 && offset >= 0 ? args_.image + args_.rows[t] + offset : args_.zeros;
    }
  }

  const Args& args_;
  std::int64_t outputs_;
  std::int64_t length_;
};

template <class V, int Pixels, int Rows, int Advance, bool Plain>
void run_direct(const Args& args) noexcept {
  using Direct = DirectRows<V, Pixels, Rows, Advance, Plain>;
  constexpr int kShared =
      static_cast<int>(kDirectSteps) - Advance;  // columns that the next output reads, too
  constexpr int kTogether = kShared;             // outputs: so that all take two new columns
  const Direct d(args);
  const DirectPlan<Direct::kSourceRows, Pixels, Advance> plan(args);
  std::int64_t parts[Pixels];
  for (std::int64_t i = 0; i < Pixels; ++i) parts[i] = plan.start(i) * args.output_step;
  const auto part = [&](std::int64_t i) __attribute__((always_inline)) { return Pixels == 1 ? 0 : parts[i]; };
  const std::int64_t spacing = args.direct.spacing;
  const std::int64_t step = args.output_step;
  const std::uint8_t* addend = args.addend;
  std::uint8_t* output = args.output;
  DirectSources<Direct::kSourceRows, Pixels> rows;
  const auto next = [&]() __attribute__((always_inline)) {
    const auto column = d.column(rows);
    rows.advance(spacing);
    return column;
  };
  typename Direct::Column columns[kDirectSteps + (kTogether - 1) * Advance];
  plan.first(rows);
  columns[0] = d.column(rows);
  plan.second(rows);
  if constexpr (kShared == 2) columns[1] = next();
  std::int64_t left = plan.length();
  for (; left >= kTogether; left -= kTogether) {
    columns[kShared] = next();
    if (left == kTogether) plan.last(rows);
    columns[kShared + 1] = next();
    d.template finish<kTogether>(columns, addend, output, step, part);
    unrolled<kShared>(QCONV_EACH(j) { columns[j] = columns[2 + j]; });
    if (!Plain && addend != nullptr) addend += kTogether * step;
    output += kTogether * step;
  }
  if (kTogether == 2 && left == 1) {
    plan.last(rows);
    columns[2] = next();
    d.template finish<1>(columns, addend, output, step, part);
  }
}

template <class V, int Pixels, int Rows, int Advance>
void run_direct(const Args& args) noexcept {
  is_plain<V>(args) ? run_direct<V, Pixels, Rows, Advance, true>(args)
                    : run_direct<V, Pixels, Rows, Advance, false>(args);
}

template <class V, int Pixels>
void run_direct(const Args& args) noexcept {
  if (args.direct.advance == 1) {
    args.output_rows == 2 ? run_direct<V, Pixels, 2, 1>(args) : run_direct<V, Pixels, 1, 1>(args);
  } else {
    args.output_rows == 2 ? run_direct<V, Pixels, 2, 2>(args) : run_direct<V, Pixels, 1, 2>(args);
  }
}

// Whether it was run. Not where parts of the row would overlap that something is added to, perhaps in its
// place.
template <class V>
bool run_direct(const Args& args) noexcept {
  if (args.direct.spacing == 0) return false;
  if (args.pixels == 1) return run_direct<V, 1>(args), true;
  if (args.addend != nullptr && args.outputs % args.pixels != 0) return false;
  args.pixels == 2 ? run_direct<V, 2>(args) : run_direct<V, 4>(args);
  return true;
}

}  // namespace
}  // namespace qconv::engines::depthwise

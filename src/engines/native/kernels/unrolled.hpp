#pragma once

/// Loops that are unrolled where the compiler still sees each index as a constant: only then do arrays of
/// vectors, the tiles of the kernels, become registers from the start.
namespace qconv::engines {
namespace {

template <int I>
struct Index {
  constexpr operator int() const noexcept { return I; }  // NOLINT(google-explicit-constructor): it is an int
};

template <int N, int I = 0, class F>
[[gnu::always_inline]] inline void unrolled(const F& f) noexcept {
  if constexpr (I < N) {
    f(Index<I>{});
    unrolled<N, I + 1>(f);
  }
}

}  // namespace
}  // namespace qconv::engines

/// The head of a lambda for `unrolled`.
#define QCONV_EACH(i) [&](auto i) __attribute__((always_inline))

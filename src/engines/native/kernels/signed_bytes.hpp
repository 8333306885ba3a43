#pragma once

/// Whether the dot products of an instruction set multiply signed activations, by the name of the set.
/// Kernels turn bytes of the other kind into theirs by flipping the top bit, which adds 128 to signed ones
/// and takes 128 off unsigned ones; the engine's zero points follow (Kernel::input_bias). Plain constants,
/// since the sources of the instruction sets read them, too: V::kSignedBytes is the same.
namespace qconv::engines::signed_bytes {

constexpr bool scalar = false;
constexpr bool avx2 = false;
constexpr bool avx512vnni = false;
constexpr bool amx = false;  // of quint8 input; its tiles multiply signed bytes as well
constexpr bool neondot = true;

}  // namespace qconv::engines::signed_bytes

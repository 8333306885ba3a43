#include <arm_neon.h>

#include "engines/native/kernels/rows/body.hpp"

namespace qconv::engines::rows {
namespace {

// The map as four tables of 64 bytes: an index outside a table leaves what is there.
void lookup_neon(const Lookup& args) noexcept {
  const uint8x16x4_t a = vld1q_u8_x4(args.map);
  const uint8x16x4_t b = vld1q_u8_x4(args.map + 64);
  const uint8x16x4_t c = vld1q_u8_x4(args.map + 128);
  const uint8x16x4_t d = vld1q_u8_x4(args.map + 192);
  std::int64_t i = 0;
  for (; i + 16 <= args.count; i += 16) {
    const uint8x16_t index = vld1q_u8(args.x + i);
    uint8x16_t found = vqtbl4q_u8(a, index);
    found = vqtbx4q_u8(found, b, vsubq_u8(index, vdupq_n_u8(64)));
    found = vqtbx4q_u8(found, c, vsubq_u8(index, vdupq_n_u8(128)));
    found = vqtbx4q_u8(found, d, vsubq_u8(index, vdupq_n_u8(192)));
    vst1q_u8(args.y + i, found);
  }
  for (; i < args.count; ++i) args.y[i] = args.map[args.x[i]];
}

}  // namespace
}  // namespace qconv::engines::rows

QCONV_DEFINE_ROWS(neondot, lookup_neon)

#include "fuzz_util.hpp"
#include "targets.hpp"

int fuzz_jpeg(const std::uint8_t* data, std::size_t size) {
  using namespace qconv;
  using namespace qconv::fuzzing;
  if (size < 3 || data[0] != 0xff || data[1] != 0xd8) return 0;
  Tensor image;
  if (accepts([&] { image = decode_image(as_bytes(data, size)); })) touch(image);
  return 0;
}

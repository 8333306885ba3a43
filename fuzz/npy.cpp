#include "fuzz_util.hpp"
#include "targets.hpp"

int fuzz_npy(const std::uint8_t* data, std::size_t size) {
  using namespace qconv;
  using namespace qconv::fuzzing;
  Tensor tensor;
  if (!accepts([&] { tensor = decode_npy(as_bytes(data, size)); })) return 0;
  touch(tensor);
  require(equal(decode_npy(encode_npy(tensor)), tensor), "a saved array reads back differently");
  return 0;
}

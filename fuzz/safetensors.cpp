#include "fuzz_util.hpp"
#include "targets.hpp"

int fuzz_safetensors(const std::uint8_t* data, std::size_t size) {
  using namespace qconv;
  using namespace qconv::fuzzing;
  StateDict state;
  if (!accepts([&] { state = decode_safetensors(as_bytes(data, size)); })) return 0;
  const StateDict again = decode_safetensors(encode_safetensors(state));
  require(again.size() == state.size(), "a saved state has another number of tensors");
  for (const auto& [name, tensor] : state) {
    touch(tensor);
    const Tensor* other = again.find(name);
    require(other != nullptr && equal(tensor, *other), "a saved tensor reads back differently");
  }
  return 0;
}

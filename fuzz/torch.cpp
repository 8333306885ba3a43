#include "fuzz_util.hpp"
#include "targets.hpp"

int fuzz_torch(const std::uint8_t* data, std::size_t size) {
  using namespace qconv;
  using namespace qconv::fuzzing;
  TorchFile file;
  if (!accepts([&] { file = decode_torch_file(as_bytes(data, size)); })) return 0;
  for (const TorchConvolution& conv : file.convolutions) accepts([&] { conv.make(); });
  for (const TorchPackedParams& packed : file.packed_params) accepts([&] { packed.prepack(); });
  StateDict again;
  // A name that came from a file may be one that we would not write.
  if (!accepts([&] { again = decode_torch(encode_torch(file.state)); })) return 0;
  require(again.size() == file.state.size(), "a saved state has another number of tensors");
  for (const auto& [name, tensor] : file.state) {
    touch(tensor);
    const Tensor* other = again.find(name);
    require(other != nullptr && other->defined() == tensor.defined(), "a saved tensor is not there");
    require(!tensor.defined() || equal(tensor, *other), "a saved tensor reads back differently");
  }
  return 0;
}

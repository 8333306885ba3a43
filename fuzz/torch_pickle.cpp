// The pickle of a PyTorch file without the archive around it, whose checksums would hide it from the fuzzer.
#include "fuzz_util.hpp"
#include "io/torch_contents.hpp"
#include "io/torch_tensors.hpp"
#include "targets.hpp"

namespace {

// Every storage is there, and none is large.
class AnyStorages final : public qconv::TorchStorages {
 public:
  qconv::Tensor read(std::string_view /*key*/, std::uint64_t size) override {
    if (size > most_bytes()) throw qconv::FileError("a storage that is not there");
    return qconv::Tensor::zeros({static_cast<std::int64_t>(size)}, qconv::uint8);
  }
  bool big_endian() const override { return true; }
  std::uint64_t most_bytes() const override { return 1 << 16; }
};

}  // namespace

int fuzz_torch_pickle(const std::uint8_t* data, std::size_t size) {
  using namespace qconv;
  using namespace qconv::fuzzing;
  AnyStorages storages;
  const std::vector<std::string> safe_globals{"__main__.Net"};
  TorchTensors tensors(storages, safe_globals);
  Pickle pickle;
  pickle.bytes = as_bytes(data, size);
  pickle.who = "pickle";
  pickle.most_values = size;
  TorchFile file;
  accepts([&] {
    tensors.read(pickle);
    add_contents(pickle, tensors, "", storages.most_bytes(), file);
  });
  for (const auto& [name, tensor] : file.state) touch(tensor);
  for (const TorchConvolution& conv : file.convolutions) accepts([&] { conv.make(); });
  for (const TorchPackedParams& packed : file.packed_params) accepts([&] { packed.prepack(); });
  return 0;
}

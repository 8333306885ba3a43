#include "fuzz_util.hpp"
#include "targets.hpp"

int fuzz_npz(const std::uint8_t* data, std::size_t size) {
  using namespace qconv;
  using namespace qconv::fuzzing;
  NamedTensors arrays;
  if (!accepts([&] { arrays = decode_npz(as_bytes(data, size)); })) return 0;
  for (const auto& [name, tensor] : arrays) touch(tensor);
  // A name that came from a file may be one that we would not write.
  NamedTensors again;
  if (!accepts([&] { again = decode_npz(encode_npz(arrays)); })) return 0;
  require(again.size() == arrays.size(), "a saved archive has another number of arrays");
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    require(again[i].first == arrays[i].first && equal(again[i].second, arrays[i].second),
            "a saved array reads back differently");
  }
  return 0;
}

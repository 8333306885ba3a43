#include <numeric>

#include "fuzz_util.hpp"
#include "targets.hpp"

namespace {

using namespace qconv;

// Runs small networks, whose work is bounded, on zeros.
void run_if_small(const Network& network) {
  std::vector<Tensor> inputs;
  std::vector<Shape> sizes;
  for (const ValueInfo& info : network.inputs()) {
    if (!info.sizes) return;
    Shape s = *info.sizes;
    std::int64_t elements = 1;
    for (std::int64_t& d : s) {
      if (d < 0) d = 5;
      if (d > 4096 || elements > 4096) return;
      elements *= d;
    }
    if (elements > 4096) return;
    sizes.push_back(s);
    inputs.push_back(Tensor::zeros(s, float32));
  }
  // A kernel may be much larger than what it reads.
  std::int64_t work = 0;
  for (const LayerInfo& layer : network.layers(sizes)) {
    if (layer.multiply_adds > 10'000'000 || (work += layer.multiply_adds) > 10'000'000) return;
    if (layer.op.find("Pool") != std::string::npos) return;  // windows have no counted work
  }
  for (const Tensor& output : network.run(inputs)) fuzzing::touch(output);
}

}  // namespace

int fuzz_onnx(const std::uint8_t* data, std::size_t size) {
  using namespace qconv::fuzzing;
  constexpr std::size_t kMemory = std::size_t{1} << 20;
  std::optional<Network> network;
  if (!accepts([&] {
        network = Network::from_onnx(as_bytes(data, size), "model", {.max_memory_bytes = kMemory});
      })) {
    return 0;
  }
  // A network may declare inputs that are too large for the memory it is given.
  std::string summary;
  if (accepts([&] { summary = network->summary(); })) require(!summary.empty(), "no summary");
  accepts([&] { run_if_small(*network); });
  // What was read can be written, and read again.
  std::string bytes;
  if (!accepts([&] { bytes = network->to_onnx(); })) return 0;
  std::optional<Network> again;
  const std::optional<std::string> refused =
      refusal([&] { again = Network::from_onnx(std::as_bytes(std::span(bytes)), "again"); });
  require(!refused, "a written network cannot be read: " + refused.value_or(""));
  require(again->inputs().size() == network->inputs().size() &&
              again->outputs().size() == network->outputs().size(),
          "a written network has other inputs or outputs");
  return 0;
}

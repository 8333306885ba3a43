// Loads a network, float or quantized, runs it, and says where the time went: run_network MODEL.onnx
#include <iostream>

#include <qconv/qconv.hpp>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: run_network MODEL.onnx\n";
    return 2;
  }
  try {
    const qconv::Network network = qconv::Network::load(argv[1]);
    std::vector<qconv::Tensor> inputs;
    for (const qconv::ValueInfo& info : network.inputs()) {
      qconv::Shape sizes = info.sizes.value();
      for (std::int64_t& s : sizes) s = s < 0 ? 1 : s;  // a size that every run may choose
      inputs.push_back(qconv::Tensor::zeros(sizes, qconv::float32));
    }
    // One network may be run by many threads at once, with as many sizes of inputs as they like.
    std::vector<qconv::LayerTime> times;
    const std::vector<qconv::Tensor> outputs = network.run(inputs, {.tap = {}, .profile = &times});
    for (std::size_t i = 0; i < outputs.size(); ++i)
      std::cout << network.outputs()[i].name << ": " << outputs[i].to_string() << "\n";
    for (const qconv::LayerTime& t : times) std::cout << t.microseconds << " us  " << t.name << "\n";
  } catch (const qconv::Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}

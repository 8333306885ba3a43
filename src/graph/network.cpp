#include <algorithm>

#include <fmt/ranges.h>

#include <qconv/network.hpp>

#include "graph/executor.hpp"
#include "graph/kept_weights.hpp"
#include "graph/layer_info.hpp"
#include "graph/passes/passes.hpp"
#include "io/atomic_file.hpp"
#include "io/onnx.hpp"
#include "support/check.hpp"

namespace qconv {

struct Network::Impl {
  Impl(graph::Graph g, const NetworkOptions& o) : graph(std::move(g)), options(o), executor(graph, options) {
    for (const graph::ValueId v : graph.inputs) inputs.push_back(graph::describe(graph.value(v)));
    for (const graph::ValueId v : graph.outputs) outputs.push_back(graph::describe(graph.value(v)));
    for (const graph::Node& node : graph.nodes) {
      const graph::WeightCount count = graph::count_weights(graph, node);
      parameters += count.parameters;
      weight_bytes += count.bytes;
      quantized = quantized || graph::computes_with_integers(graph, node);
    }
  }

  graph::Graph graph;
  NetworkOptions options;
  graph::Executor executor;
  std::vector<ValueInfo> inputs;
  std::vector<ValueInfo> outputs;
  std::int64_t parameters = 0;
  std::size_t weight_bytes = 0;
  bool quantized = false;
};

namespace {

// What every graph that comes from a file goes through.
Network prepare(graph::Graph graph, std::string_view source, const NetworkOptions& options) {
  try {
    graph::fuse(graph);
    graph::lower_qdq(graph);
    return Network(std::move(graph), options);
  } catch (const FileError&) {
    throw;
  } catch (const Error& e) {
    throw FileError(fmt::format("{}: {}", source, e.what()));
  }
}

}  // namespace

std::string ValueInfo::to_string() const {
  std::string text = fmt::format("{}: {}", name, qconv::to_string(dtype));
  if (sizes) text += " " + sizes->to_string();
  if (qparams) text += fmt::format(" scale={} zero_point={}", qparams->scales[0], qparams->zero_points[0]);
  return text;
}

Network::Network(graph::Graph graph, const NetworkOptions& options) {
  graph::infer_shapes(graph);
  impl_ = std::make_shared<const Impl>(std::move(graph), options);
}

Network Network::load(const std::filesystem::path& path, const NetworkOptions& options) {
  return prepare(io::read_onnx(path), path.string(), options);
}

Network Network::from_onnx(std::span<const std::byte> bytes, std::string_view name,
                           const NetworkOptions& options) {
  return prepare(io::read_onnx(bytes, name), name, options);
}

void Network::save(const std::filesystem::path& path) const {
  const std::string bytes = to_onnx();
  save_bytes(std::as_bytes(std::span(bytes)), path);
}
std::string Network::to_onnx() const {
  graph::check_keeps_weights("save", *this);
  return io::write_onnx(impl_->graph);
}

const std::vector<ValueInfo>& Network::inputs() const noexcept { return impl_->inputs; }
const std::vector<ValueInfo>& Network::outputs() const noexcept { return impl_->outputs; }
const std::string& Network::name() const noexcept { return impl_->graph.name; }
std::int64_t Network::parameters() const noexcept { return impl_->parameters; }
std::size_t Network::weight_bytes() const noexcept { return impl_->weight_bytes; }
bool Network::quantized() const noexcept { return impl_->quantized; }
const graph::Graph& Network::graph() const noexcept { return impl_->graph; }
const graph::Executor& Network::executor() const noexcept { return impl_->executor; }
const NetworkOptions& Network::options() const noexcept { return impl_->options; }

Tensor Network::run(const Tensor& input) const {
  check(impl_->inputs.size() == 1 && impl_->outputs.size() == 1,
        "the network '{}' has {} inputs and {} outputs; run it with a list of tensors", impl_->graph.name,
        impl_->inputs.size(), impl_->outputs.size());
  return impl_->executor.run(std::span(&input, 1), {})[0];
}

std::vector<Tensor> Network::run(std::span<const Tensor> inputs, const RunOptions& options) const {
  return impl_->executor.run(inputs, options);
}

std::vector<NamedTensor> Network::run(std::span<const NamedTensor> inputs, const RunOptions& options) const {
  std::vector<Tensor> ordered(impl_->inputs.size());
  for (const auto& [name, tensor] : inputs) {
    const auto found =
        std::find_if(impl_->inputs.begin(), impl_->inputs.end(),
                     [&, &wanted = name](const ValueInfo& info) { return info.name == wanted; });
    if (found == impl_->inputs.end()) {
      std::vector<std::string> names;
      for (const ValueInfo& info : impl_->inputs) names.push_back(info.name);
      throw ValueError(
          fmt::format("the network has no input '{}'; its inputs are {}", name, fmt::join(names, ", ")));
    }
    ordered[static_cast<std::size_t>(found - impl_->inputs.begin())] = tensor;
  }
  const std::vector<Tensor> results = impl_->executor.run(ordered, options);
  std::vector<NamedTensor> named;
  for (std::size_t i = 0; i < results.size(); ++i) named.emplace_back(impl_->outputs[i].name, results[i]);
  return named;
}

std::vector<LayerInfo> Network::layers(std::span<const Shape> input_sizes) const {
  const graph::Graph& g = impl_->graph;
  std::vector<LayerInfo> layers;
  std::vector<Shape> declared(input_sizes.begin(), input_sizes.end());
  if (declared.empty()) {
    for (const ValueInfo& info : impl_->inputs) {
      if (!info.sizes || std::any_of(info.sizes->begin(), info.sizes->end(), [](auto s) { return s < 0; })) {
        return graph::describe_layers(g, impl_->executor, nullptr);
      }
      declared.push_back(*info.sizes);
    }
  }
  graph::check_input_sizes(g, declared);
  return graph::describe_layers(g, impl_->executor, impl_->executor.plan(declared).get());
}

MemoryUse Network::memory(std::span<const Shape> input_sizes) const {
  graph::check_input_sizes(impl_->graph, input_sizes);
  return impl_->executor.memory(input_sizes);
}

std::string Network::summary(std::span<const Shape> input_sizes) const {
  std::string text;
  const auto join = [](const std::vector<ValueInfo>& values) {
    std::vector<std::string> parts;
    for (const ValueInfo& v : values) parts.push_back(v.to_string());
    return fmt::format("{}", fmt::join(parts, "; "));
  };
  text += fmt::format("network  {}\ninputs   {}\noutputs  {}\n\n", name(), join(inputs()), join(outputs()));
  text += graph::layer_table(layers(input_sizes));
  text += fmt::format("\n{} parameters in {} bytes\n", parameters(), weight_bytes());
  if (!input_sizes.empty()) {
    const MemoryUse use = memory(input_sizes);
    text += fmt::format("{} bytes for the tensors between layers ({} without reuse)\n", use.peak_bytes,
                        use.bytes_without_reuse);
  }
  return text;
}

}  // namespace qconv

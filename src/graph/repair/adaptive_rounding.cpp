#include "graph/repair/adaptive_rounding.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include <qconv/float_convolution.hpp>

#include "graph/layer.hpp"
#include "graph/repair/gram.hpp"
#include "graph/repair/round_weights.hpp"
#include "graph/repair/weight_layout.hpp"
#include "support/check.hpp"
#include "support/thread_pool.hpp"

namespace qconv::graph {
namespace {

// What the Grams of one reading of the data may take.
constexpr std::size_t kGramBytes = std::size_t{256} << 20;
// Of the mean of the diagonal: what the data says nothing about stays near its nearest integer.
constexpr float kDamping = 0.01F;

struct Target {
  const Node* node = nullptr;
  Tensor real;      // float weight, contiguous
  Tensor nearest;   // quantized
  Tensor improved;  // quantized
  std::unique_ptr<Gram> gram;
};

double scale_of(const Tensor& quantized, std::int64_t channel) {
  const QParams& q = quantized.qparams();
  return q.scales[static_cast<std::size_t>(channel) % q.scales.size()];
}

// Calls `use(target, input)` for the input of every target, over all of the data.
template <class Use>
void read_inputs(const Network& network, const BatchSource& batches, std::span<Target* const> targets,
                 const Use& use) {
  const Graph& graph = network.graph();
  std::map<std::string, std::vector<Target*>, std::less<>> behind;  // by the layer that makes the input
  std::map<ValueId, std::vector<Target*>> at_input;
  const Uses uses(graph);
  for (Target* t : targets) {
    const ValueId v = t->node->inputs[0];
    const int producer = uses.producer(v);
    if (producer >= 0) {
      behind[graph.nodes[static_cast<std::size_t>(producer)].name].push_back(t);
    } else {
      at_input[v].push_back(t);
    }
  }
  RunOptions run;
  run.tap = [&](const LayerResult& r) {
    const auto found = behind.find(r.name);
    if (found == behind.end()) return;
    for (Target* t : found->second) use(*t, r.output);
  };
  std::size_t count = 0;
  while (const std::optional<std::vector<Tensor>> batch = batches()) {
    for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
      for (Target* t : at_input[graph.inputs[i]]) use(*t, (*batch)[i]);
    }
    network.run(*batch, run);
    ++count;
  }
  check(
      count > 0,
      "quantize: adaptive rounding needs the calibration data more than once, and it came only once; give a "
      "list of batches, or a source that starts over after its end");
}

// Rows of `errors` times the symmetric matrix.
Tensor products(const Tensor& errors, std::vector<float>& matrix) {
  constexpr std::int64_t kNarrow = 64;  // below, preparing the float library takes longer than the products
  const std::int64_t width = errors.size(1);
  if (width >= kNarrow) {
    const Tensor g = Tensor::from_blob(matrix.data(), {width, width}, {width, 1}, DType::float32);
    return FloatLinear(g, std::nullopt).run(errors).contiguous();
  }
  Tensor result = Tensor::zeros(errors.sizes(), DType::float32);
  for (std::int64_t i = 0; i < errors.numel(); ++i) {
    const float* row = matrix.data() + i % width * width;
    float* to = result.mutable_data<float>() + i / width * width;
    for (std::int64_t j = 0; j < width; ++j) to[j] += errors.data<float>()[i] * row[j];
  }
  return result;
}

// The integers of all output channels of one block of the Gram.
void improve_block(Target& t, const WeightLayout& layout, std::int64_t block) {
  const Gram& gram = *t.gram;
  const std::int64_t width = gram.width(block);
  const std::int64_t row = layout.in_channels / layout.groups * layout.taps;
  const std::int64_t outputs = layout.out_channels / layout.groups;
  const std::int64_t first = gram.group(block) * outputs;
  std::vector<float> matrix = gram.matrix(block);
  float diagonal = 0;
  for (std::int64_t i = 0; i < width; ++i) diagonal += matrix[static_cast<std::size_t>(i * (width + 1))];
  for (std::int64_t i = 0; i < width; ++i) {
    matrix[static_cast<std::size_t>(i * (width + 1))] += kDamping * diagonal / static_cast<float>(width);
  }
  const float* real = t.real.data<float>();
  auto* integers = static_cast<std::int8_t*>(t.improved.raw_mutable_data());
  Tensor errors = Tensor::empty({outputs, width}, DType::float32);
  for (std::int64_t o = 0; o < outputs; ++o) {
    const double scale = scale_of(t.nearest, first + o);
    for (std::int64_t i = 0; i < width; ++i) {
      const std::int64_t at = (first + o) * row + gram.begin(block) + i;
      errors.mutable_data<float>()[o * width + i] =
          static_cast<float>(static_cast<double>(real[at]) - scale * integers[at]);
    }
  }
  Tensor gradients = products(errors, matrix);
  const auto n = static_cast<std::size_t>(width);
  parallel_for(*current_pool(), static_cast<std::size_t>(outputs), [&](std::size_t o) {
    const std::int64_t channel = first + static_cast<std::int64_t>(o);
    const std::int64_t at = channel * row + gram.begin(block);
    descend(matrix, {real + at, n}, scale_of(t.nearest, channel), {integers + at, n},
            {gradients.mutable_data<float>() + o * n, n});
  });
}

// Mean square of each output channel of a layer with these weights and no bias; the variance if `centred`.
class ChannelError {
 public:
  ChannelError(const Graph& graph, const Node& node, const Tensor& real, const Tensor& quantized)
      : linear_(std::holds_alternative<Linear>(node.op)) {
    const Tensor q = quantized.dequantize().contiguous();
    Tensor difference = Tensor::empty(real.sizes(), DType::float32);
    for (std::int64_t i = 0; i < real.numel(); ++i) {
      difference.mutable_data<float>()[i] = real.data<float>()[i] - q.data<float>()[i];
    }
    Graph only;
    only.name = graph.name;
    Node alone = node;
    limits_of(alone) = {};
    Value x = graph.value(node.inputs[0]);
    alone.inputs = {only.add_value(std::move(x)), only.add_constant("weight", difference)};
    layer_ = prepare_layer(only, alone, {});
  }

  void add(const Tensor& input) {
    const Tensor y = linear_ ? layer_.linear->run(input) : layer_.convolution->run(input).transpose(1, -1);
    const std::vector<float> values = y.to_vector<float>();
    const auto channels = static_cast<std::size_t>(y.size(-1));
    sums_.resize(channels);
    squares_.resize(channels);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double v = static_cast<double>(values[i]);
      sums_[i % channels] += v;
      squares_[i % channels] += v * v;
    }
    const std::size_t rows = channels == 0 ? 0 : values.size() / channels;
    count_ += static_cast<double>(rows);
  }
  double operator()(std::size_t channel, bool centred) const {
    if (count_ == 0) return 0;
    const double mean = sums_[channel] / count_;
    return squares_[channel] / count_ - (centred ? mean * mean : 0);
  }

 private:
  bool linear_;
  Layer layer_;
  std::vector<double> sums_;
  std::vector<double> squares_;
  double count_ = 0;
};

struct Errors {
  ChannelError nearest;
  ChannelError improved;
};

void take_back_what_is_worse(Target& t, const Errors& errors, const WeightLayout& layout, bool centred) {
  const auto* old = static_cast<const std::int8_t*>(t.nearest.raw_data());
  auto* integers = static_cast<std::int8_t*>(t.improved.raw_mutable_data());
  for (std::int64_t i = 0; i < t.improved.numel(); ++i) {
    const auto channel = static_cast<std::size_t>(layout.out_of(i));
    if (!(errors.improved(channel, centred) < errors.nearest(channel, centred))) integers[i] = old[i];
  }
}

}  // namespace

void round_adaptively(std::map<std::string, Tensor, std::less<>>& weights, const Network& network,
                      const BatchSource& batches, const QuantizeOptions& options) {
  const Graph& graph = network.graph();
  std::vector<Target> targets;
  for (const Node& node : graph.nodes) {
    const auto found = weights.find(node.name);
    if (found == weights.end() || !Gram::takes(node)) continue;
    const Tensor nearest = found->second.contiguous();
    targets.push_back(
        {&node, graph.value(node.inputs[1]).elements().contiguous(), nearest, nearest.clone(), {}});
  }
  const auto step = [&](std::size_t done) {
    if (options.on_step) options.on_step("rounding weights", done, targets.size() + 1);
  };
  for (std::size_t next = 0; next < targets.size();) {
    step(next);
    std::vector<Target*> now;
    std::size_t bytes = 0;
    while (next < targets.size()) {
      auto gram = std::make_unique<Gram>(graph, *targets[next].node);
      if (!now.empty() && bytes + gram->bytes() > kGramBytes) break;
      bytes += gram->bytes();
      targets[next].gram = std::move(gram);
      now.push_back(&targets[next++]);
    }
    read_inputs(network, batches, now, [](Target& t, const Tensor& x) { t.gram->add(x); });
    for (Target* t : now) {
      t->gram->finish(options.correct_bias);
      const WeightLayout layout = layout_of(graph, *t->node);
      for (std::int64_t b = 0; b < t->gram->blocks(); ++b) improve_block(*t, layout, b);
      t->gram.reset();
    }
  }
  step(targets.size());
  std::map<const Target*, Errors> errors;
  std::vector<Target*> all;
  for (Target& t : targets) {
    all.push_back(&t);
    errors.emplace(&t, Errors{{graph, *t.node, t.real, t.nearest}, {graph, *t.node, t.real, t.improved}});
  }
  if (all.empty()) return;
  read_inputs(network, batches, all, [&](Target& t, const Tensor& x) {
    Errors& e = errors.at(&t);
    e.nearest.add(x);
    e.improved.add(x);
  });
  for (Target& t : targets) {
    take_back_what_is_worse(t, errors.at(&t), layout_of(graph, *t.node), options.correct_bias);
    weights[t.node->name] = t.improved;
  }
  step(targets.size() + 1);
}

}  // namespace qconv::graph

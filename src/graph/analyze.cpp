// What qconv::analyze and qconv::compare_layers tell of a comparison.
#include <algorithm>

#include "graph/comparison.hpp"
#include "graph/kept_weights.hpp"
#include "graph/layer_times.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

using graph::Comparison;
using graph::DistributionCounter;
using graph::elements;
using graph::ErrorSums;
using graph::Graph;
using graph::LayerCounters;
using graph::Node;
using graph::Plan;

// How many rows have their greatest value in the same place.
std::uint64_t same_greatest(const Tensor& a, const Tensor& b) {
  const auto classes = static_cast<std::size_t>(a.size(1));
  const std::vector<float> x = a.to_vector<float>();
  const std::vector<float> y = b.to_vector<float>();
  std::uint64_t same = 0;
  for (std::size_t row = 0; row < x.size(); row += classes) {
    const auto greatest = [&](const std::vector<float>& v) {
      const auto first = v.begin() + static_cast<std::ptrdiff_t>(row);
      return std::max_element(first, first + static_cast<std::ptrdiff_t>(classes)) - first;
    };
    same += greatest(x) == greatest(y) ? 1 : 0;
  }
  return same;
}

// The results of the whole networks.
class Outputs {
 public:
  explicit Outputs(const Network& reference) : sums_(reference.outputs().size()) {
    for (const ValueInfo& output : reference.outputs()) reports_.push_back({output.name, {}, {}, 0});
  }
  void add(std::span<const Tensor> wanted, std::span<const Tensor> got) {
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      check(wanted[i].sizes() == got[i].sizes(),
            "analyze: output '{}' has sizes {} in one network and {} in the other", reports_[i].name,
            wanted[i].sizes().to_string(), got[i].sizes().to_string());
      if (wanted[i].dtype() != float32 || got[i].dtype() != float32) continue;
      const Tensor x = wanted[i].contiguous();
      const Tensor y = got[i].contiguous();
      sums_[i].add(elements(x), elements(y));
      if (x.dim() != 2 || x.size(1) < 2) continue;
      reports_[i].samples = reports_[i].samples.value_or(0) + static_cast<std::uint64_t>(x.size(0));
      reports_[i].same_top1 += same_greatest(x, y);
    }
  }
  std::vector<OutputReport> finish() {
    for (std::size_t i = 0; i < sums_.size(); ++i) reports_[i].error = sums_[i].figures();
    return std::move(reports_);
  }

 private:
  std::vector<ErrorSums> sums_;
  std::vector<OutputReport> reports_;
};

NetworkSide side_of(const Network& network, std::span<const Shape> sizes) {
  NetworkSide side;
  side.name = network.name();
  side.weight_bytes = network.weight_bytes();
  side.parameters = network.parameters();
  side.activation_bytes = network.memory(sizes).peak_bytes;
  return side;
}

// Of a Conv or Linear; the float weight is the reference's where that has one of the same sizes.
std::optional<WeightReport> weight_of(const Graph& graph, const Node& node, const Graph& reference,
                                      int like) {
  if (!has_weight(node)) return std::nullopt;
  const Tensor& weight = graph.value(node.inputs[1]).constant;
  WeightReport report;
  report.dtype = weight.dtype();
  report.sizes = weight.sizes();
  if (weight.is_quantized()) report.scales = weight.qparams().scales;
  const Tensor used = weight.dequantize().contiguous();
  Tensor real = used;
  if (like >= 0) {
    const Node& match = reference.nodes[static_cast<std::size_t>(like)];
    if (has_weight(match) && reference.value(match.inputs[1]).constant.sizes() == weight.sizes()) {
      real = reference.value(match.inputs[1]).constant.dequantize().contiguous();
      ErrorSums sums;
      sums.add(elements(real), elements(used));
      if (weight.is_quantized()) report.sqnr_db = sums.figures().sqnr_db;
    }
  }
  DistributionCounter counter;
  counter.add(elements(real));
  report.values = counter.result();
  return report;
}

// Who made each slot of a plan, as LayerReport::sources counts them.
std::vector<int> makers_of(const Plan& plan) {
  std::vector<int> makers(plan.slots.size());
  // A plan's first slots are the inputs, in their order.
  for (std::size_t i = 0; i < plan.input_sizes.size(); ++i) makers[i] = -1 - static_cast<int>(i);
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    makers[static_cast<std::size_t>(plan.steps[s].result)] = static_cast<int>(s);
  }
  return makers;
}

std::vector<LayerReport> layers_of(const Comparison& comparison, const Network& reference,
                                   const Network& other, std::span<const Shape> sizes) {
  const std::shared_ptr<const Plan> plan = other.executor().plan(sizes);
  const std::vector<int> makers = makers_of(*plan);
  const std::vector<LayerInfo> infos = other.layers(sizes);
  std::unordered_map<std::string, LayerInfo> by_name;
  for (const LayerInfo& layer : reference.layers(sizes)) by_name.emplace(layer.name, layer);
  std::vector<LayerReport> layers;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    const std::size_t index = plan->steps[i].node;
    const Node& node = other.graph().nodes[index];
    const LayerCounters& counters = comparison.counters(index);
    LayerReport layer;
    layer.info = infos[i];
    for (const int slot : plan->steps[i].slots) {
      if (slot >= 0) layer.sources.push_back(makers[static_cast<std::size_t>(slot)]);
    }
    const int like = comparison.pairs().node(index);
    if (like >= 0) {
      layer.reference = reference.graph().nodes[static_cast<std::size_t>(like)].name;
      const auto found = by_name.find(layer.reference);
      if (found != by_name.end())
        layer.reference_kernel = found->second.kernel.empty() ? found->second.engine : found->second.kernel;
    }
    if (!counters.accumulated.empty()) layer.accumulated = counters.accumulated.figures();
    if (!counters.local.empty()) layer.local = counters.local.figures();
    layer.values = counters.values.result();
    layer.range = quantized_range(other.graph().value(node.output));
    if (layer.range && layer.values.count > 0) {
      const auto count = static_cast<double>(layer.values.count);
      layer.range->clipped_below = static_cast<double>(counters.below) / count;
      layer.range->clipped_above = static_cast<double>(counters.above) / count;
    }
    layer.weight = weight_of(other.graph(), node, reference.graph(), like);
    layers.push_back(std::move(layer));
  }
  return layers;
}

void add_times(NetworkReport& report, const graph::LayerTimes& reference, const graph::LayerTimes& other) {
  report.reference.microseconds = reference.total;
  report.other.microseconds = other.total;
  std::unordered_map<std::string, double> by_name(reference.layers.begin(), reference.layers.end());
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    LayerReport& layer = report.layers[i];
    layer.microseconds = other.layers[i].second;
    const auto found = by_name.find(layer.reference);
    if (!layer.reference.empty() && found != by_name.end()) layer.reference_microseconds = found->second;
  }
}

}  // namespace

NetworkReport analyze(const Network& reference, const Network& other, const BatchSource& batches,
                      const AnalyzeOptions& options) {
  check(reference.inputs().size() == other.inputs().size() &&
            reference.outputs().size() == other.outputs().size(),
        "analyze: expected two networks of the same inputs and outputs, got {} and {} inputs, {} and {} "
        "outputs",
        reference.inputs().size(), other.inputs().size(), reference.outputs().size(), other.outputs().size());
  graph::check_keeps_weights("analyze", reference);
  graph::check_keeps_weights("analyze", other);
  NetworkReport report;
  Comparison comparison(reference, other, true);
  Outputs outputs(reference);
  std::vector<Tensor> first;
  while (const std::optional<std::vector<Tensor>> batch = batches()) {
    const auto [wanted, got] = comparison.add(*batch);
    outputs.add(wanted, got);
    if (report.batches++ == 0) first = *batch;
    if (!batch->empty() && batch->front().dim() > 0)
      report.samples += static_cast<std::uint64_t>(batch->front().size(0));
  }
  check(report.batches > 0, "analyze: there is no data");
  const std::vector<Shape> sizes = graph::sizes_of(first);
  report.inputs = other.inputs();
  for (std::size_t i = 0; i < sizes.size(); ++i) report.inputs[i].sizes = sizes[i];
  report.reference = side_of(reference, sizes);
  report.other = side_of(other, sizes);
  report.outputs = outputs.finish();
  report.layers = layers_of(comparison, reference, other, sizes);
  if (options.timing_seconds > 0) {
    const graph::TwoTimes times = graph::time_layers(reference, other, first, options.timing_seconds);
    add_times(report, times.first, times.second);
    report.timed_runs = times.runs;
  }
  return report;
}

std::vector<LayerDifference> compare_layers(const Network& reference, const Network& other,
                                            const BatchSource& batches) {
  Comparison comparison(reference, other, false);
  while (const std::optional<std::vector<Tensor>> batch = batches()) comparison.add(*batch);
  // In the order of the reference.
  std::vector<std::optional<LayerDifference>> found(reference.graph().nodes.size());
  for (std::size_t i = 0; i < other.graph().nodes.size(); ++i) {
    const LayerCounters& counters = comparison.counters(i);
    const int like = comparison.pairs().node(i);
    if (like < 0 || counters.accumulated.empty()) continue;
    const Node& node = reference.graph().nodes[static_cast<std::size_t>(like)];
    const ErrorFigures f = counters.accumulated.figures();
    const ValueDistribution& values = counters.values.result();
    found[static_cast<std::size_t>(like)] = LayerDifference{node.name,        std::string(op_name(node.op)),
                                                            f.sqnr_db,        f.cosine,
                                                            f.mean_abs_error, f.max_abs_error,
                                                            values.min,       values.max};
  }
  std::vector<LayerDifference> differences;
  for (const std::optional<LayerDifference>& layer : found) {
    if (layer) differences.push_back(*layer);
  }
  return differences;
}

}  // namespace qconv

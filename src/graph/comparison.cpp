#include "graph/comparison.hpp"

#include <qconv/quantize.hpp>

#include "ops/args.hpp"

namespace qconv::graph {
namespace {

bool holds_numbers(const Tensor& t) { return t.dtype() == float32 || t.is_quantized(); }

// As dense float32 in memory of its own, within the limits.
Tensor as_float(const Tensor& result, const Range& limits = {}) {
  Tensor real = result.dequantize().clone();
  if (limits.unlimited()) return real;
  float* values = real.mutable_data<float>();
  for (std::int64_t i = 0; i < real.numel(); ++i) values[i] = std::clamp(values[i], limits.lo, limits.hi);
  return real;
}

void count_values(const Tensor& values, const std::optional<QuantizedRange>& range, LayerCounters& counters) {
  counters.values.add(elements(values));
  if (!range) return;
  const double low = range->low - range->scale / 2;
  const double high = range->high + range->scale / 2;
  for (const float v : elements(values)) {
    if (static_cast<double>(v) < low) ++counters.below;
    if (static_cast<double>(v) > high) ++counters.above;
  }
}

}  // namespace

std::optional<QuantizedRange> quantized_range(const Value& value) {
  if (!is_quantized(value.dtype) || !value.qparams || value.qparams->is_per_channel()) return std::nullopt;
  QuantizedRange range;
  range.scale = value.qparams->scales[0];
  range.zero_point = value.qparams->zero_points[0];
  range.low = range.scale * static_cast<double>(info(value.dtype).quant_min - range.zero_point);
  range.high = range.scale * static_cast<double>(info(value.dtype).quant_max - range.zero_point);
  return range;
}

std::vector<Shape> sizes_of(std::span<const Tensor> tensors) {
  std::vector<Shape> sizes;
  for (const Tensor& t : tensors) sizes.push_back(t.sizes());
  return sizes;
}

Comparison::Comparison(const Network& reference, const Network& other, bool local)
    : reference_(reference),
      other_(other),
      local_(local),
      pairs_(reference.graph(), other.graph()),
      counters_(other.graph().nodes.size()) {}

std::pair<std::vector<Tensor>, std::vector<Tensor>> Comparison::add(const std::vector<Tensor>& batch) {
  Expected expected;
  std::shared_ptr<const Plan> plan;  // asked for inside the run, which has checked the inputs by then
  RunOptions keep;
  keep.tap = [&](const LayerResult& r) {
    if (plan == nullptr) plan = reference_.executor().plan(sizes_of(batch));
    if (holds_numbers(r.output))
      expected[reference_.graph().nodes[plan->steps[r.index].node].output] = as_float(r.output);
  };
  std::vector<Tensor> wanted = reference_.run(batch, keep);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (batch[i].dtype() == float32) expected[reference_.graph().inputs[i]] = batch[i].contiguous();
  }

  std::shared_ptr<const Plan> other_plan;
  RunOptions compare;
  compare.tap = [&](const LayerResult& r) {
    if (other_plan == nullptr) other_plan = other_.executor().plan(sizes_of(batch));
    if (holds_numbers(r.output)) add_layer(*other_plan, r, expected);
  };
  return {std::move(wanted), other_.run(batch, compare)};
}

const Tensor* Comparison::expected_of(const Expected& expected, ValueId other) const {
  const auto found = expected.find(pairs_.value(other));
  return found == expected.end() ? nullptr : &found->second;
}

void Comparison::add_layer(const Plan& plan, const LayerResult& result, const Expected& expected) {
  const Plan::Step& step = plan.steps[result.index];
  const Node& node = other_.graph().nodes[step.node];
  LayerCounters& counters = counters_[step.node];
  const Tensor* want = expected_of(expected, node.output);
  const std::optional<QuantizedRange> range = quantized_range(other_.graph().value(node.output));
  if (want == nullptr || !(want->sizes() == result.output.sizes())) {
    count_values(as_float(result.output), range, counters);
    return;
  }
  const Range& rest = pairs_.rest(step.node);
  counters.accumulated.add(elements(*want), elements(as_float(result.output, rest)));
  count_values(*want, range, counters);
  if (!local_ || !result.output.is_quantized()) return;
  const Tensor alone = run_alone(plan, step, result.output, expected);
  if (alone.defined()) counters.local.add(elements(*want), elements(as_float(alone, rest)));
}

// The step's result when its inputs are the reference's, or an undefined tensor where those are not known.
Tensor Comparison::run_alone(const Plan& plan, const Plan::Step& step, const Tensor& like,
                             const Expected& expected) const {
  const Node& node = other_.graph().nodes[step.node];
  std::vector<Tensor> inputs(step.constants);
  std::vector<const Tensor*> arguments;
  for (std::size_t i = 0; i < step.slots.size(); ++i) {
    if (step.slots[i] >= 0) {
      const Tensor* real = expected_of(expected, node.inputs[i]);
      const Shape& sizes = plan.slots[static_cast<std::size_t>(step.slots[i])].sizes;
      if (real == nullptr || !(real->sizes() == sizes)) return {};
      const Value& value = other_.graph().value(node.inputs[i]);
      inputs[i] = real->contiguous(ops::natural_format(real->dim()));
      if (is_quantized(value.dtype)) {
        inputs[i] = quantize_per_tensor(inputs[i], value.qparams->scales[0], value.qparams->zero_points[0],
                                        value.dtype);
      }
    }
    arguments.push_back(inputs[i].defined() ? &inputs[i] : nullptr);
  }
  const Tensor result =
      Tensor::empty_quantized(like.sizes(), like.dtype(), like.qparams(), ops::natural_format(like.dim()));
  return run_layer(node, *step.layer, arguments, result);
}

}  // namespace qconv::graph

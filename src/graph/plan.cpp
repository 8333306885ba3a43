// Plans: a graph and the sizes of its inputs become steps and a division of memory.
#include <algorithm>

#include "graph/executor.hpp"
#include "graph/samples.hpp"
#include "graph/windows.hpp"
#include "ops/args.hpp"
#include "support/check.hpp"

namespace qconv::graph {
namespace {

// Bytes of sizes and constants that one plan may work out.
constexpr std::size_t kEarlyBudget = std::size_t{64} << 20;

class Planner {
 public:
  Planner(const Graph& graph, const std::vector<Layer>& layers, const NetworkOptions& options, Plan& plan)
      : graph_(graph),
        layers_(layers),
        options_(options),
        plan_(plan),
        facts_(graph.values.size()),
        slot_of_(graph.values.size(), -1) {}

  void make(std::span<const Shape> input_sizes) {
    plan_.input_sizes.assign(input_sizes.begin(), input_sizes.end());
    for (std::size_t v = 0; v < facts_.size(); ++v) {
      const Value& value = graph_.values[v];
      facts_[v].dtype = value.dtype;
      if (value.is_constant()) facts_[v] = {value.dtype, value.constant.sizes(), value.constant};
    }
    for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
      fact(graph_.inputs[i]).sizes = input_sizes[i];
      add_slot(graph_.inputs[i], input_sizes[i]);
    }
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      try {
        add_node(i);
      } catch (const Error& e) {
        throw ValueError(fmt::format("layer '{}' ({}): {}", node.name, op_name(node.op), e.what()));
      }
    }
    const Uses uses(graph_);
    for (const ValueId v : graph_.inputs) {
      const std::vector<int>& readers = uses.readers(v);
      plan_.any_format.push_back(
          !uses.is_output(v) && std::all_of(readers.begin(), readers.end(), [&](int n) {
            return std::holds_alternative<Quantize>(graph_.nodes[static_cast<std::size_t>(n)].op);
          }));
    }
    for (const ValueId v : graph_.outputs) {
      plan_.output_slots.push_back(slot_of_[static_cast<std::size_t>(v)]);
      plan_.output_constants.push_back(fact(v).elements());
      keep_until(v, static_cast<int>(plan_.steps.size()));
    }
    plan_.memory = plan_memory(plan_.lifetimes);
    check(
        plan_.memory.peak_bytes <= options_.max_memory_bytes,
        "for inputs of these sizes, the tensors between the layers need {} bytes; max_memory_bytes allows {}",
        plan_.memory.peak_bytes, options_.max_memory_bytes);
  }

 private:
  Fact& fact(ValueId v) { return facts_[static_cast<std::size_t>(v)]; }

  int add_slot(ValueId v, const Shape& sizes) {
    plan_.slots.push_back({v, sizes, -1});
    return slot_of_[static_cast<std::size_t>(v)] = static_cast<int>(plan_.slots.size() - 1);
  }

  void keep_until(ValueId v, int step) {
    const int slot = slot_of_[static_cast<std::size_t>(v)];
    const int buffer = slot < 0 ? -1 : plan_.slots[static_cast<std::size_t>(slot)].buffer;
    if (buffer >= 0) plan_.lifetimes[static_cast<std::size_t>(buffer)].last = step;
  }

  void add_node(std::size_t index) {
    const Node& node = graph_.nodes[index];
    std::vector<Fact> inputs;
    for (const ValueId v : node.inputs) inputs.push_back(v == kNoValue ? Fact{} : fact(v));
    Fact result = infer(node, inputs);
    result.tensor = evaluate(node, inputs, budget_);
    if (result.tensor.defined()) {
      result.sizes = result.tensor.sizes();
      result.dtype = result.tensor.dtype();
      fact(node.output) = std::move(result);
      return;
    }
    check(result.sizes.has_value() &&
              std::all_of(result.sizes->begin(), result.sizes->end(), [](auto s) { return s >= 0; }),
          "the size of the result does not follow from the sizes of the inputs");
    if (const auto* conv = std::get_if<Conv>(&node.op); conv && node.input(3) != kNoValue) {
      check(fact(node.inputs[3]).sizes == result.sizes, "adds a tensor of sizes {} to a result of sizes {}",
            *fact(node.inputs[3]).sizes, *result.sizes);
    }
    fact(node.output).sizes = result.sizes;
    add_step(index, *result.sizes);
  }

  void add_step(std::size_t index, const Shape& sizes) {
    const Node& node = graph_.nodes[index];
    const int now = static_cast<int>(plan_.steps.size());
    Plan::Step step;
    step.node = index;
    step.layer = layer_for(index);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId v = node.inputs[i];
      const int slot = v == kNoValue ? -1 : slot_of_[static_cast<std::size_t>(v)];
      const bool packed = has_weight(node) && i == 1;  // the layer has it
      step.slots.push_back(slot);
      step.constants.push_back(v == kNoValue || slot >= 0 || packed ? Tensor() : fact(v).elements());
      if (slot >= 0) keep_until(v, now);
    }
    step.result = add_slot(node.output, sizes);
    plan_.slots.back().buffer = static_cast<int>(plan_.lifetimes.size());
    const auto bytes = static_cast<std::size_t>(sizes.numel());
    const std::size_t width = element_size(graph_.value(node.output).dtype);
    check(bytes <= std::numeric_limits<std::size_t>::max() / 4 / width, "a result of sizes {} is too large",
          sizes);
    plan_.lifetimes.push_back({bytes * width, now, now});
    plan_.steps.push_back(std::move(step));
  }

  const Layer* layer_for(std::size_t index) {
    if (!has_weight(graph_.nodes[index]) || layers_[index].ready()) return &layers_[index];
    // The padding depends on the input's sizes: settle it and pack the weights for this plan.
    Node node = graph_.nodes[index];
    auto& conv = std::get<Conv>(node.op);
    const Spatial input = spatial_of(*fact(node.inputs[0]).sizes, conv.geometry.ndim, node.name);
    conv.geometry = *resolve_padding(conv.geometry, conv.auto_pad, conv.output_shape, input);
    plan_.own_layers.push_back(std::make_unique<Layer>(prepare_layer(graph_, node, options_.engine)));
    return plan_.own_layers.back().get();
  }

  const Graph& graph_;
  const std::vector<Layer>& layers_;
  const NetworkOptions& options_;
  Plan& plan_;
  std::vector<Fact> facts_;
  std::vector<int> slot_of_;
  std::size_t budget_ = kEarlyBudget;
};

}  // namespace

namespace {

std::shared_ptr<std::byte> block_of(std::size_t bytes, Allocator* allocator) {
  if (allocator == nullptr) {
    std::shared_ptr<void> memory = allocate_aligned(bytes);
    return {memory, static_cast<std::byte*>(memory.get())};
  }
  const std::size_t size = std::max(bytes, kAlignment);
  auto* memory = static_cast<std::byte*>(allocator->allocate(size, kAlignment));
  return {memory, [allocator, size](std::byte* p) { allocator->deallocate(p, size); }};
}

}  // namespace

std::unique_ptr<Workspace> Plan::take_workspace(const Graph& graph, Allocator* allocator) const {
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      std::unique_ptr<Workspace> workspace = std::move(free_.back());
      free_.pop_back();
      return workspace;
    }
  }
  auto workspace = std::make_unique<Workspace>();
  workspace->memory = block_of(memory.peak_bytes, allocator);
  for (const Slot& slot : slots) {
    if (slot.buffer < 0) {
      workspace->slots.emplace_back();
      continue;
    }
    const Value& value = graph.value(slot.value);
    void* place = workspace->memory.get() + memory.offsets[static_cast<std::size_t>(slot.buffer)];
    const MemoryFormat format = ops::natural_format(slot.sizes.rank());
    workspace->slots.push_back(Tensor::from_blob(place, slot.sizes, dense_strides(slot.sizes, format),
                                                 value.dtype, nullptr, value.qparams));
  }
  return workspace;
}

void Plan::give_back(std::unique_ptr<Workspace> workspace) const {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(workspace));
}

std::shared_ptr<const Plan> Executor::make_plan(std::span<const Shape> input_sizes) const {
  auto plan = std::make_shared<Plan>();
  Planner(graph_, layers_, options_, *plan).make(input_sizes);
  std::shared_ptr<const Plan> single = plan_single(input_sizes);
  if (single != nullptr && samples_are_independent(graph_, *plan, *single) &&
      samples_are_faster_alone(graph_, *plan, *single))
    plan->single = std::move(single);
  return plan;
}

std::shared_ptr<const Plan> Executor::plan_single(std::span<const Shape> input_sizes) const {
  std::vector<Shape> sizes(input_sizes.begin(), input_sizes.end());
  for (Shape& s : sizes) {
    if (s.rank() < 2 || s[0] < 2 || s[0] != input_sizes[0][0]) return nullptr;
    s[0] = 1;
  }
  if (sizes.empty()) return nullptr;
  auto plan = std::make_shared<Plan>();
  try {
    Planner(graph_, layers_, options_, *plan).make(sizes);
  } catch (const Error&) {
    return nullptr;  // a network whose sizes are those of its batch
  }
  return plan;
}

}  // namespace qconv::graph

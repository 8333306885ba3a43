#include "graph/executor.hpp"

#include <algorithm>
#include <chrono>
#include <exception>

#include "engines/floating/float_pool.hpp"
#include "graph/layer_info.hpp"
#include "ops/args.hpp"
#include "ops/prepack.hpp"
#include "support/cache_sizes.hpp"
#include "support/check.hpp"
#include "support/own_pool.hpp"
#include "support/thread_pool.hpp"
#include "tensor/output_placement.hpp"

namespace qconv::graph {
namespace {

// Plans kept per network. Services see a handful of sizes; each plan holds the memory of its runs.
constexpr std::size_t kPlans = 8;

MemoryFormat format_of(const Tensor& t) { return ops::natural_format(t.dim()); }

}  // namespace

bool sizes_fit(const std::optional<Shape>& declared, const Shape& given) {
  if (!declared) return true;
  if (declared->rank() != given.rank()) return false;
  for (int d = 0; d < given.rank(); ++d) {
    if ((*declared)[d] >= 0 && (*declared)[d] != given[d]) return false;
  }
  return true;
}

Executor::Executor(Graph& graph, const NetworkOptions& options)
    : graph_(graph), options_(options), layers_(graph.nodes.size()) {
  const Uses uses(graph);
  std::int64_t weight_bytes = 0;
  for (const Node& node : graph.nodes) {
    weight_bytes += static_cast<std::int64_t>(count_weights(graph, node).bytes);
  }
  // Of as many weights, other programs leave none in the last cache until the next run.
  const bool from_memory = weight_bytes > cache_sizes().last / 4;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const Value& result = graph.value(node.output);
    computes_with_floats_ = computes_with_floats_ || (result.dtype == DType::float32 && !result.early &&
                                                      !std::holds_alternative<Dequantize>(node.op));
    if (std::holds_alternative<UnaryOp>(node.op) && is_quantized(graph.value(node.output).dtype))
      layers_[i] = prepare_table(graph, node);
    if (!has_weight(node)) continue;
    const auto* conv = std::get_if<Conv>(&node.op);
    if (conv != nullptr && (conv->auto_pad != AutoPad::given || !conv->output_shape.empty())) continue;
    try {
      layers_[i] = prepare_layer(graph, node, options.engine,
                                 {.from_memory = from_memory, .run_only = options.run_only});
      Tensor& weight = graph.values[static_cast<std::size_t>(node.inputs[1])].constant;
      if (options.run_only && layers_[i].packed != nullptr && uses.only_reader(node.inputs[1]) >= 0) {
        weight = ops::hollow(weight);
      }
    } catch (const Error& e) {
      throw ValueError(fmt::format("layer '{}' ({}): {}", node.name, op_name(node.op), e.what()));
    }
  }
}

void Executor::check_input(std::size_t i, const Tensor& input) const {
  const Value& declared = graph_.value(graph_.inputs[i]);
  check(input.defined(), "input '{}' is undefined", declared.name);
  check<TypeError>(input.dtype() == declared.dtype, "input '{}' must be {}, got {}", declared.name,
                   to_string(declared.dtype), input);
  check(sizes_fit(declared.sizes, input.sizes()), "input '{}' must have sizes {}, got {}", declared.name,
        declared.sizes ? declared.sizes->to_string() : "", input.sizes().to_string());
}

std::shared_ptr<const Plan> Executor::plan(std::span<const Shape> input_sizes) const {
  const auto matches = [&](const std::shared_ptr<const Plan>& p) {
    return std::equal(p->input_sizes.begin(), p->input_sizes.end(), input_sizes.begin(), input_sizes.end());
  };
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(plans_.begin(), plans_.end(), matches);
    if (found != plans_.end()) {
      std::rotate(found, found + 1, plans_.end());
      return plans_.back();
    }
  }
  std::shared_ptr<const Plan> made = make_plan(input_sizes);
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(plans_.begin(), plans_.end(), matches);
  if (found != plans_.end()) return *found;  // another thread was faster
  if (plans_.size() == kPlans) plans_.erase(plans_.begin());
  plans_.push_back(made);
  return made;
}

std::vector<Tensor> Executor::run(std::span<const Tensor> inputs, const RunOptions& options) const {
  check(inputs.size() == graph_.inputs.size(), "the network has {} inputs, got {} tensors",
        graph_.inputs.size(), inputs.size());
  std::vector<Shape> sizes;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    check_input(i, inputs[i]);
    sizes.push_back(inputs[i].sizes());
  }
  const std::shared_ptr<const Plan> plan = this->plan(sizes);
  // Layers that compute with floats run on the threads of the float library. The others had better join them:
  // two sets of threads that wait busily take the processor from each other.
  const bool join = computes_with_floats_ && options_.pool == nullptr && runs_on_own_pool();
  const std::shared_ptr<ThreadPool> joined = join ? engines::float_pool() : nullptr;
  const PoolScope threads(join ? joined.get() : options_.pool);
  // Who watches the layers wants to see the whole batch.
  const bool watched = options.profile != nullptr || options.tap;
  return plan->single != nullptr && !watched ? run_samples(*plan, *plan->single, inputs)
                                             : run_plan(*plan, inputs, options);
}

std::vector<Tensor> Executor::run_plan(const Plan& plan, std::span<const Tensor> inputs,
                                       const RunOptions& options) const {
  std::unique_ptr<Workspace> workspace = plan.take_workspace(graph_, options_.allocator);
  std::vector<Tensor>& slots = workspace->slots;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    slots[i] = plan.any_format[i] ? inputs[i] : inputs[i].contiguous(format_of(inputs[i]));
  if (options.profile != nullptr) options.profile->clear();

  std::vector<const Tensor*> arguments;
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const Plan::Step& step = plan.steps[s];
    const Node& node = graph_.nodes[step.node];
    arguments.clear();
    for (std::size_t i = 0; i < step.slots.size(); ++i) {
      const Tensor* constant = step.constants[i].defined() ? &step.constants[i] : nullptr;
      arguments.push_back(step.slots[i] >= 0 ? &slots[static_cast<std::size_t>(step.slots[i])] : constant);
    }
    Tensor& result = slots[static_cast<std::size_t>(step.result)];
    const auto start = std::chrono::steady_clock::now();
    {
      const OutputPlacement placement(result.raw_mutable_data(), result.nbytes());
      const Tensor made = run_layer(node, *step.layer, arguments, result);
      const bool in_place = made.raw_data() == result.raw_data() && made.is_contiguous(format_of(made));
      if (!in_place) {
        // It may hold the planned memory in another order: copy by way of memory of its own.
        result.copy_(made.raw_data() == result.raw_data() ? made.clone() : made);
      }
    }
    if (options.profile != nullptr) {
      const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
      options.profile->push_back({node.name, std::string(op_name(node.op)), took.count()});
    }
    if (options.tap) options.tap({node.name, op_name(node.op), s, result});
  }

  std::vector<Tensor> outputs;
  for (std::size_t i = 0; i < plan.output_slots.size(); ++i) {
    const int slot = plan.output_slots[i];
    outputs.push_back((slot >= 0 ? slots[static_cast<std::size_t>(slot)] : plan.output_constants[i]).clone());
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) slots[i] = Tensor();
  plan.give_back(std::move(workspace));
  return outputs;
}

namespace {

// For work that is one of many such already.
class CallingThread final : public ThreadPool {
 public:
  int num_threads() const noexcept override { return 1; }
  void parallelize(std::size_t count, void (*task)(void*, std::size_t), void* context) override {
    for (std::size_t i = 0; i < count; ++i) task(context, i);
  }
};

// How many samples run on one thread each; the rest run on all threads, one after the other.
std::size_t samples_at_once(std::size_t count, int threads) {
  const auto each = static_cast<std::size_t>(threads);
  return each > 1 ? count / each * each : 0;
}

}  // namespace

MemoryUse Executor::memory(std::span<const Shape> input_sizes) const {
  const std::shared_ptr<const Plan> plan = this->plan(input_sizes);
  if (plan->single == nullptr) return {plan->memory.peak_bytes, plan->memory.total_bytes};
  const PoolScope threads(options_.pool);
  const int count = get_num_threads();
  const bool together = samples_at_once(static_cast<std::size_t>(input_sizes[0][0]), count) > 0;
  const std::size_t copies = together ? static_cast<std::size_t>(count) : 1;
  return {copies * plan->single->memory.peak_bytes, copies * plan->single->memory.total_bytes};
}

std::vector<Tensor> Executor::run_samples(const Plan& batch, const Plan& single,
                                          std::span<const Tensor> inputs) const {
  std::vector<Tensor> outputs;
  for (const int slot : batch.output_slots) {
    const Plan::Slot& of_output = batch.slots[static_cast<std::size_t>(slot)];
    outputs.push_back(Tensor::empty(of_output.sizes, graph_.value(of_output.value).dtype));
  }
  const auto run_one = [&](std::size_t i) {
    const auto at = static_cast<std::int64_t>(i);
    std::vector<Tensor> sample;
    for (const Tensor& input : inputs) sample.push_back(input.narrow(0, at, 1));
    const std::vector<Tensor> results = run_plan(single, sample, {});
    for (std::size_t k = 0; k < outputs.size(); ++k) outputs[k].narrow(0, at, 1).copy_(results[k]);
  };
  const std::shared_ptr<ThreadPool> pool = current_pool();
  const auto count = static_cast<std::size_t>(inputs[0].size(0));
  const std::size_t at_once = samples_at_once(count, pool->num_threads());
  std::mutex mutex;
  std::exception_ptr failure;
  parallel_for(*pool, at_once, [&](std::size_t i) {
    CallingThread alone;
    const PoolScope scope(&alone);
    try {
      run_one(i);
    } catch (...) {  // a pool's threads cannot pass it on
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  });
  if (failure != nullptr) std::rethrow_exception(failure);
  for (std::size_t i = at_once; i < count; ++i) run_one(i);
  return outputs;
}

}  // namespace qconv::graph

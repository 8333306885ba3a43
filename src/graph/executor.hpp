#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <qconv/network.hpp>

#include "graph/infer.hpp"
#include "graph/layer.hpp"
#include "graph/memory_plan.hpp"
#include "support/aligned_buffer.hpp"

namespace qconv::graph {

/// One run's memory: the block that the plan divides, and the tensors that lie in it.
struct Workspace {
  std::shared_ptr<std::byte> memory;
  std::vector<Tensor> slots;
};

/// Everything that depends on the sizes of the inputs. Immutable, but for the workspaces that are free.
struct Plan {
  struct Step {
    std::size_t node = 0;
    const Layer* layer = nullptr;
    /// Per input of the node: a slot, or -1 and a constant (undefined when the input is absent).
    std::vector<int> slots;
    std::vector<Tensor> constants;
    int result = 0;
  };
  /// A tensor between layers, or an input of the network.
  struct Slot {
    ValueId value = kNoValue;
    Shape sizes;
    int buffer = -1;  ///< index in the memory plan; -1 for inputs
  };
  std::vector<Shape> input_sizes;
  /// Whether only Quantize reads the input, which takes it in any memory format.
  std::vector<bool> any_format;
  std::vector<Step> steps;
  std::vector<Slot> slots;
  std::vector<int> output_slots;  ///< or -1:
  std::vector<Tensor> output_constants;
  std::vector<Lifetime> lifetimes;
  MemoryPlan memory;
  std::vector<std::unique_ptr<Layer>> own_layers;  ///< of nodes whose padding depends on the sizes
  /// How each sample of the batch is run by itself, where that gives the same results in less time; or null.
  std::shared_ptr<const Plan> single;

  /// `allocator` may be null, for the system's memory.
  std::unique_ptr<Workspace> take_workspace(const Graph& graph, Allocator* allocator) const;
  void give_back(std::unique_ptr<Workspace> workspace) const;

 private:
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> free_;
};

/// Runs a graph. Weights are packed when it is made; plans are made for each choice of input sizes and the
/// last few are kept. May be used from many threads at once.
class Executor {
 public:
  /// Keeps a reference to the graph, out of which NetworkOptions::run_only takes weights as they are packed.
  /// Throws what prepacking throws, naming the node.
  Executor(Graph& graph, const NetworkOptions& options);

  /// `inputs` are float32 and as many as the graph's. Throws ValueError or TypeError when they do not fit.
  std::vector<Tensor> run(std::span<const Tensor> inputs, const RunOptions& options) const;
  /// What run() takes for inputs of these sizes. Throws as plan() does.
  MemoryUse memory(std::span<const Shape> input_sizes) const;
  /// The same as run() of a batch, sample by sample on the plan `single` for batches of one: on all threads
  /// at once, as many samples as there are threads, the rest one after the other.
  std::vector<Tensor> run_samples(const Plan& batch, const Plan& single,
                                  std::span<const Tensor> inputs) const;
  /// Throws ValueError when a network of these input sizes cannot run or needs too much memory.
  std::shared_ptr<const Plan> plan(std::span<const Shape> input_sizes) const;
  /// Of a node whose padding does not depend on the sizes.
  const Layer& layer(std::size_t node) const { return layers_[node]; }

 private:
  std::shared_ptr<const Plan> make_plan(std::span<const Shape> input_sizes) const;
  /// The plan for batches of one, where all inputs are batches of several and such a plan is possible; or
  /// null.
  std::shared_ptr<const Plan> plan_single(std::span<const Shape> input_sizes) const;
  std::vector<Tensor> run_plan(const Plan& plan, std::span<const Tensor> inputs,
                               const RunOptions& options) const;
  void check_input(std::size_t i, const Tensor& input) const;

  const Graph& graph_;
  NetworkOptions options_;
  std::vector<Layer> layers_;          // by node
  bool computes_with_floats_ = false;  // some layer does
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const Plan>> plans_;  // last used at the end
};

/// Whether an input of sizes `given` fits what the network declares.
bool sizes_fit(const std::optional<Shape>& declared, const Shape& given);

}  // namespace qconv::graph

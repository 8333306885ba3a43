#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <qconv/allocator.hpp>
#include <qconv/export.hpp>
#include <qconv/tensor.hpp>
#include <qconv/threads.hpp>

namespace qconv {

/// An input or output of a network, or of one of its layers.
struct ValueInfo {
  std::string name;
  DType dtype = float32;
  /// -1 for a size that every run may choose; nothing when not even the rank is known.
  std::optional<Shape> sizes;
  /// Parameters of a quantized value.
  std::optional<QParams> qparams;
  /// "input: float32 (-1, 3, -1, -1)".
  std::string to_string() const;
};

/// One operation of a network.
struct LayerInfo {
  std::string name;
  std::string op;  ///< ONNX's name: "Conv", "MaxPool", "QuantizeLinear", ...
  /// What is fused into it: "relu", "add", "clip(0, 6)", "reflect padding"; joined by " + ".
  std::string detail;
  std::vector<ValueInfo> inputs;  ///< activations, not weights
  ValueInfo output;
  /// The parameters in it, weights and biases, and the bytes that they take.
  std::int64_t parameters = 0;
  std::size_t weight_bytes = 0;
  DType weight_dtype = float32;  ///< when it has weights
  /// Multiply-adds of a convolution or linear layer; 0 for other layers or sizes that are not known.
  std::int64_t multiply_adds = 0;
  /// Where the sizes are known: "native", "reference" or a float library, and the kernel that runs it.
  std::string engine;
  std::string kernel;
  /// Whether it computes with integers.
  bool quantized = false;
};

/// Memory of the tensors between layers, for one choice of input sizes.
struct MemoryUse {
  std::size_t peak_bytes = 0;           ///< what a run takes: buffers are reused when their tensor is done
  std::size_t bytes_without_reuse = 0;  ///< what all tensors would take
};

/// What a run can tell while it goes on.
struct LayerResult {
  std::string_view name;
  std::string_view op;
  std::size_t index = 0;  ///< of the layer in layers()
  /// Its result: valid inside the callback only (clone it to keep it), and quantized in a quantized layer.
  const Tensor& output;
};
/// How long one layer took.
struct LayerTime {
  std::string name;
  std::string op;
  double microseconds = 0;
};
/// What a run reports besides its results.
struct RunOptions {
  /// Called after each layer, on the thread that runs the network.
  std::function<void(const LayerResult&)> tap;
  /// Receives one entry per layer, replacing what it holds; null for no timing.
  std::vector<LayerTime>* profile = nullptr;
};

/// How a network runs, chosen when it is loaded.
struct NetworkOptions {
  /// "native" or "reference" for integer convolutions; empty for the process-wide choice (QCONV_ENGINE, else
  /// the first engine that accepts each layer).
  std::string engine = {};
  /// A run whose tensors need more than this, the batch taken as a whole, is refused before anything is
  /// computed.
  std::size_t max_memory_bytes = std::size_t{16} << 30;
  /// The network is only to be run: weights of integer layers are let go as soon as they are packed, which
  /// saves up to a half of the memory that loading takes. It cannot be saved then.
  bool run_only = false;
  /// Threads of the caller's that run the integer operators of this network; null for the process's. Must
  /// outlive the network and its copies, as the allocator must.
  ThreadPool* pool = nullptr;
  /// The memory of the tensors between layers: one block per run at a time (where samples run by themselves,
  /// one for each at the same time), of memory().peak_bytes in all, kept for the next run. Null for the
  /// system's.
  Allocator* allocator = nullptr;
};

/// An input or output with the name that ValueInfo gives it.
using NamedTensor = std::pair<std::string, Tensor>;

namespace graph {
struct Graph;
class Executor;
}  // namespace graph

/// A network that is ready to run: float, quantized or mixed. Immutable; copies share everything, and one
/// network may be run from many threads at once. Weights are packed once, when it is loaded; what depends on
/// the sizes of the inputs is worked out at the first run with them and kept for the last few choices.
///
/// Tensors are float32 at the border, row major on the way out; a quantized network quantizes its inputs
/// itself.
class QCONV_API Network {
 public:
  /// Reads an ONNX file (docs/formats.md says what is supported) and prepares it: batch normalization is
  /// folded, activations and residual additions are fused into the convolution before them, and
  /// QuantizeLinear/DequantizeLinear become integer operations. Throws FileError with one line that names the
  /// file and the node.
  static Network load(const std::filesystem::path& path, const NetworkOptions& = {});
  /// The same from memory; `name` stands for the file in messages.
  static Network from_onnx(std::span<const std::byte> bytes, std::string_view name = "model",
                           const NetworkOptions& = {});
  /// Writes ONNX, atomically: an interrupted save leaves the old file whole. A quantized network becomes QDQ
  /// ONNX, which other runtimes run too; loading it again gives the same bytes for the same input.
  void save(const std::filesystem::path& path) const;
  /// The bytes that save() writes.
  std::string to_onnx() const;

  const std::vector<ValueInfo>& inputs() const noexcept;
  const std::vector<ValueInfo>& outputs() const noexcept;
  const std::string& name() const noexcept;

  /// One input, one output. Throws ValueError or TypeError when the network has more, or the tensor does not
  /// fit.
  Tensor run(const Tensor& input) const;
  /// Inputs in the order of inputs(); results in the order of outputs(). A batch whose samples do not meet
  /// may run sample by sample, several at once on the pool's threads: the bytes are the same, and a tap or a
  /// profile sees the whole batch.
  std::vector<Tensor> run(std::span<const Tensor> inputs, const RunOptions& = {}) const;
  /// The same by name, in any order. Throws ValueError for a name that is missing or unknown.
  std::vector<NamedTensor> run(std::span<const NamedTensor> inputs, const RunOptions& = {}) const;

  /// The layers in the order in which they run. With `input_sizes` (one per input), all sizes, kernels and
  /// multiply-adds are filled in; without, those that do not depend on sizes that a run may choose. Throws
  /// ValueError for sizes, given or declared by the network, that it cannot run within its max_memory_bytes.
  std::vector<LayerInfo> layers(std::span<const Shape> input_sizes = {}) const;
  MemoryUse memory(std::span<const Shape> input_sizes) const;
  /// The parameters of all layers, and the bytes they take.
  std::int64_t parameters() const noexcept;
  std::size_t weight_bytes() const noexcept;
  /// Whether any layer computes with integers.
  bool quantized() const noexcept;
  /// A table of layers() for people, one line each, then totals. Throws as layers() does.
  std::string summary(std::span<const Shape> input_sizes = {}) const;

  /// For quantize() and the like; not part of the stable interface.
  const graph::Graph& graph() const noexcept;
  const graph::Executor& executor() const noexcept;
  const NetworkOptions& options() const noexcept;
  Network(graph::Graph graph, const NetworkOptions& options);

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace qconv

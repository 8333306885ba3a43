#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "graph/passes/passes.hpp"

namespace qconv::graph {
namespace {

// The functions that exporters write as several nodes.
constexpr std::array kCandidates{
    Unary{UnaryKind::silu},
    Unary{UnaryKind::hardswish},
    Unary{UnaryKind::gelu},
    Unary{UnaryKind::gelu_tanh},
    Unary{UnaryKind::mish},
    Unary{UnaryKind::softplus},
    Unary{UnaryKind::hardsigmoid, 1.0F / 6.0F, 0.5F},
    Unary{UnaryKind::hardsigmoid, 0.2F, 0.5F},
    Unary{UnaryKind::sigmoid},
};
// More nodes than the longest of them has.
constexpr std::size_t kMostNodes = 10;
// Where functions are tried, and how close they must be; no two candidates are this close to each other. Most
// of them bend near 0; far away they must not be limited either.
constexpr int kSamples = 97;
constexpr double kReach = 9;
constexpr std::array kFar{12.0, 20.0, 50.0, 80.0, 1e3, 1e5, 1e9, 1e20};
// What is written as several nodes may overflow from here on where the function does not: log(1 + exp(x)).
constexpr double kOverflows = 80;
constexpr double kTolerance = 4e-6;

// The number that a constant of one element holds.
std::optional<double> number(const Graph& graph, ValueId v) {
  const Value& value = graph.value(v);
  if (!value.is_constant() || value.dtype != DType::float32 || value.constant.numel() != 1)
    return std::nullopt;
  return static_cast<double>(value.elements().to_vector<float>()[0]);
}

// The group under trial: nodes that lead from one value, the root, to the result of the last node.
class Group {
 public:
  Group(const Graph& graph, const Uses& uses, std::size_t last) : graph_(graph), uses_(uses), last_(last) {
    add(last);
  }

  // Takes in the maker of the newest value that comes from outside; false when it cannot be part of it.
  bool grow() {
    if (frontier_.empty() || nodes_.size() == kMostNodes) return false;
    const int newest = *std::max_element(frontier_.begin(), frontier_.end(), [&](ValueId a, ValueId b) {
      return uses_.producer(a) < uses_.producer(b);
    });
    const int producer = uses_.producer(newest);
    if (producer < 0 || !elementwise(graph_.nodes[static_cast<std::size_t>(producer)])) return false;
    frontier_.erase(newest);
    add(static_cast<std::size_t>(producer));
    return true;
  }

  std::optional<ValueId> root() const {
    return frontier_.size() == 1 ? std::optional(*frontier_.begin()) : std::nullopt;
  }
  std::size_t size() const { return nodes_.size(); }
  const std::set<std::size_t>& nodes() const { return nodes_; }

  // Whether what is inside is used inside only.
  bool closed() const {
    return std::all_of(nodes_.begin(), nodes_.end(), [&](std::size_t n) {
      const ValueId result = graph_.nodes[n].output;
      if (n == last_) return true;
      const auto& readers = uses_.readers(result);
      return !uses_.is_output(result) && std::all_of(readers.begin(), readers.end(), [&](int r) {
        return nodes_.contains(static_cast<std::size_t>(r));
      });
    });
  }

  // Whether the result has the sizes of the root: constants may add dimensions.
  bool keeps_sizes() const {
    const auto& x = graph_.value(*root()).sizes;
    return std::all_of(nodes_.begin(), nodes_.end(), [&](std::size_t n) {
      const auto& inputs = graph_.nodes[n].inputs;
      return std::all_of(inputs.begin(), inputs.end(), [&](ValueId v) {
        const Value& value = graph_.value(v);
        return !value.is_constant() || value.constant.dim() <= (x ? x->rank() : 0);
      });
    });
  }

  // The result for x as the root.
  double operator()(double x) const {
    std::map<ValueId, double> known{{*root(), x}};
    // Nodes are in an order in which they can run.
    for (const std::size_t n : nodes_) {
      const Node& node = graph_.nodes[n];
      std::array<double, 2> in{};
      for (std::size_t i = 0; i < std::min<std::size_t>(2, node.inputs.size()); ++i) {
        const auto found = known.find(node.inputs[i]);
        in.at(i) = found != known.end() ? found->second : *number(graph_, node.inputs[i]);
      }
      known[node.output] = compute(node.op, in[0], in[1]);
    }
    return known.at(graph_.nodes[last_].output);
  }

 private:
  bool elementwise(const Node& node) const {
    if (graph_.value(node.output).dtype != DType::float32) return false;
    const bool kind = std::holds_alternative<UnaryOp>(node.op) || std::holds_alternative<Clip>(node.op) ||
                      std::holds_alternative<Add>(node.op) || std::holds_alternative<Binary>(node.op);
    return kind && std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId v) {
             return v != kNoValue && (!graph_.value(v).early || number(graph_, v));
           });
  }

  void add(std::size_t n) {
    nodes_.insert(n);
    for (const ValueId v : graph_.nodes[n].inputs) {
      const int producer = uses_.producer(v);
      const bool inside = producer >= 0 && nodes_.contains(static_cast<std::size_t>(producer));
      if (!graph_.value(v).early && !inside) frontier_.insert(v);
    }
  }

  static double limited(double v, const Range& range) {
    return std::min(std::max(v, static_cast<double>(range.lo)), static_cast<double>(range.hi));
  }

  static double compute(const Op& op, double a, double b) {
    if (const auto* unary = std::get_if<UnaryOp>(&op))
      return static_cast<double>(unary->function(static_cast<float>(a)));
    if (const auto* clip = std::get_if<Clip>(&op)) return limited(a, clip->range);
    if (const auto* add = std::get_if<Add>(&op)) return limited(a + b, add->range);
    switch (std::get<Binary>(op).kind) {
      case BinaryKind::sub:
        return a - b;
      case BinaryKind::mul:
        return a * b;
      case BinaryKind::div:
        return a / b;
      case BinaryKind::pow:
        return std::pow(a, b);
      case BinaryKind::min:
        return std::min(a, b);
      case BinaryKind::max:
        return std::max(a, b);
    }
    return 0;
  }

  const Graph& graph_;
  const Uses& uses_;
  std::size_t last_;
  std::set<std::size_t> nodes_;
  std::set<ValueId> frontier_;
};

std::vector<float> sample_points() {
  std::vector<float> points;
  for (const double x : kFar) {
    points.push_back(static_cast<float>(x));
    points.push_back(static_cast<float>(-x));
  }
  for (int i = 0; i < kSamples; ++i) {
    points.push_back(static_cast<float>(kReach * (2.0 * i / (kSamples - 1) - 1)));
  }
  return points;
}

// Stops at the first number that rules out the last candidate, for most groups one of the first.
std::optional<Unary> recognize(const Group& group) {
  static const std::vector<float> points = sample_points();
  std::vector<Unary> left(kCandidates.begin(), kCandidates.end());
  for (const float x : points) {
    const double actual = group(static_cast<double>(x));
    if (std::abs(x) > static_cast<float>(kOverflows) && !std::isfinite(actual)) continue;
    std::erase_if(left, [&](const Unary& candidate) {
      const auto expected = static_cast<double>(candidate(x));
      // NaN is near to nothing.
      return !(std::abs(actual - expected) <= kTolerance * (1 + std::abs(expected)));
    });
    if (left.empty()) return std::nullopt;
  }
  return left.front();
}

}  // namespace

int recognize_functions(Graph& graph) {
  const Uses uses(graph);
  std::vector<bool> gone(graph.nodes.size(), false);
  int count = 0;
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    const Op& op = graph.nodes[i].op;
    const bool last = std::holds_alternative<Binary>(op) || std::holds_alternative<Clip>(op) ||
                      std::holds_alternative<UnaryOp>(op);
    if (gone[i] || !last || graph.value(graph.nodes[i].output).early ||
        graph.value(graph.nodes[i].output).dtype != DType::float32) {
      continue;
    }
    if (const auto* binary = std::get_if<Binary>(&op); binary != nullptr) {
      // A constant of many elements is no function of one number.
      const bool plain = std::all_of(graph.nodes[i].inputs.begin(), graph.nodes[i].inputs.end(),
                                     [&](ValueId v) { return !graph.value(v).early || number(graph, v); });
      if (!plain) continue;
    }
    Group group(graph, uses, i);
    while (group.grow()) {
      if (!group.root() || !group.closed() || !group.keeps_sizes()) continue;
      const std::optional<Unary> function = recognize(group);
      if (!function) continue;
      for (const std::size_t n : group.nodes()) gone[n] = n != i;
      Node& node = graph.nodes[i];
      node.op = UnaryOp{*function};
      node.inputs = {*group.root()};
      count += static_cast<int>(group.size()) - 1;
      break;
    }
  }
  remove_nodes(graph, gone);
  return count;
}

}  // namespace qconv::graph

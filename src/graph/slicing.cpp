#include "graph/slicing.hpp"

#include <algorithm>

#include "support/check.hpp"

namespace qconv::graph {

std::vector<std::int64_t> integers(const Tensor& t, std::string_view who) {
  if (t.dtype() == DType::int64) return t.to_vector<std::int64_t>();
  check(t.dtype() == DType::int32, "{}: expected integers, got {}", who, to_string(t.dtype()));
  const auto narrow = t.to_vector<std::int32_t>();
  return {narrow.begin(), narrow.end()};
}

std::optional<Slicing> slicing_of(std::span<const Fact> inputs) {
  const auto given = [&](std::size_t i) { return i < inputs.size() && inputs[i].sizes.has_value(); };
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    if ((i < 3 || given(i)) && !inputs[i].tensor.defined()) return std::nullopt;
  }
  if (!inputs[0].sizes) return std::nullopt;
  const Shape& x = *inputs[0].sizes;
  const std::vector<std::int64_t> starts = integers(inputs[1].tensor, "Slice");
  const std::vector<std::int64_t> ends = integers(inputs[2].tensor, "Slice");
  std::vector<std::int64_t> axes(starts.size());
  for (std::size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<std::int64_t>(i);
  if (given(3)) axes = integers(inputs[3].tensor, "Slice");
  std::vector<std::int64_t> steps(starts.size(), 1);
  if (given(4)) steps = integers(inputs[4].tensor, "Slice");
  check(starts.size() == ends.size() && starts.size() == axes.size() && starts.size() == steps.size(),
        "Slice: {} starts, {} ends, {} axes and {} steps", starts.size(), ends.size(), axes.size(),
        steps.size());
  Slicing s{Shape::filled(x.rank(), 0), Shape::filled(x.rank(), 1), x};
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::int64_t axis = axes[i] < 0 ? axes[i] + x.rank() : axes[i];
    check(axis >= 0 && axis < x.rank(), "Slice: axis {} is out of range", axes[i]);
    const int d = static_cast<int>(axis);
    check(steps[i] != 0 && steps[i] > -(std::int64_t{1} << 31) && steps[i] < (std::int64_t{1} << 31),
          "Slice: a step of {} is not possible", steps[i]);
    s.step[d] = steps[i];
    const std::int64_t size = x[d];
    if (size < 0) {
      s.sizes[d] = kDynamic;
      continue;
    }
    const auto from_end = [&](std::int64_t v) { return v < 0 ? std::max(v, -size - 1) + size : v; };
    const bool forward = steps[i] > 0;
    const std::int64_t begin =
        std::clamp<std::int64_t>(from_end(starts[i]), forward ? 0 : -1, forward ? size : size - 1);
    const std::int64_t end =
        std::clamp<std::int64_t>(from_end(ends[i]), forward ? 0 : -1, forward ? size : size - 1);
    const std::int64_t span = forward ? end - begin : begin - end;
    const std::int64_t stride = forward ? steps[i] : -steps[i];
    s.sizes[d] = span <= 0 ? 0 : (span + stride - 1) / stride;
    s.first[d] = begin;
  }
  return s;
}

}  // namespace qconv::graph

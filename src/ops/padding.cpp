// IntList and Padding: the forms in which callers give one value per dimension.
#include <fmt/ranges.h>

#include <qconv/int_list.hpp>

#include "support/check.hpp"

namespace qconv {

Spatial IntList::spatial(int ndim, std::int64_t neutral, std::string_view who, std::string_view what) const {
  check(every_ || values_.size() == static_cast<std::size_t>(ndim),
        "{}: {} should contain {} elements for a {}D convolution, got ({})", who, what, ndim, ndim,
        fmt::join(values_, ", "));
  Spatial result{neutral, neutral, neutral};
  for (int d = 0; d < ndim; ++d) {
    result[static_cast<std::size_t>(3 - ndim + d)] = values_[every_ ? 0 : static_cast<std::size_t>(d)];
  }
  return result;
}

namespace {

void apply_same(ConvGeometry& g, std::string_view who) {
  for (std::size_t d = 0; d < 3; ++d) {
    check(g.stride[d] == 1, "{}: padding='same' needs stride 1, got ({}); give the padding in numbers", who,
          fmt::join(g.used(g.stride), ", "));
    const std::int64_t total = g.dilation[d] * (g.kernel[d] - 1);
    g.padding_begin[d] = total / 2;
    g.padding_end[d] = total - total / 2;
  }
}

}  // namespace

void Padding::apply(ConvGeometry& geometry, std::string_view who) const {
  const auto ndim = static_cast<std::size_t>(geometry.ndim);
  if (!name_.empty()) {
    check(name_ == "same" || name_ == "valid", "{}: padding '{}' is neither 'same' nor 'valid' nor a number",
          who, name_);
    check(!geometry.transposed, "{}: padding='{}' is for convolutions that are not transposed", who, name_);
    geometry.padding_begin = geometry.padding_end = {0, 0, 0};
    if (name_ == "same") apply_same(geometry, who);
    return;
  }
  const bool both_sides = values_.size() == 2 * ndim && !every_;
  check(every_ || both_sides || values_.size() == ndim,
        "{}: padding should contain {} elements, or {} with the end of each dimension too, for a {}D "
        "convolution, got ({})",
        who, ndim, 2 * ndim, ndim, fmt::join(values_, ", "));
  for (std::size_t d = 0; d < ndim; ++d) {
    geometry.padding_begin[3 - ndim + d] = values_[every_ ? 0 : d];
    geometry.padding_end[3 - ndim + d] = values_[every_ ? 0 : both_sides ? ndim + d : d];
  }
}

}  // namespace qconv

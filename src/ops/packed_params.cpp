#include <qconv/packed_params.hpp>

#include "ops/packed_params_impl.hpp"

namespace qconv {

std::shared_ptr<const engines::Prepared> PlanCache::find(const PlanKey& key) {
  const std::scoped_lock lock(mutex_);
  for (const Entry& entry : entries_) {
    if (entry.key == key) return entry.plan;
  }
  return nullptr;
}

void PlanCache::insert(const PlanKey& key, std::shared_ptr<const engines::Prepared> plan) {
  constexpr std::size_t kMostPlans = 8;
  const std::scoped_lock lock(mutex_);
  if (entries_.size() == kMostPlans) entries_.erase(entries_.begin());
  entries_.push_back({key, std::move(plan)});
}

std::shared_ptr<const engines::Prepared> PlanCache::latest() {
  const std::scoped_lock lock(mutex_);
  return entries_.empty() ? nullptr : entries_.back().plan;
}

ConvPackedParams::ConvPackedParams(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ConvPackedParams::~ConvPackedParams() = default;

namespace {

std::vector<std::int64_t> as_vector(const ConvGeometry& g, const Spatial& s) {
  const auto used = g.used(s);
  return {used.begin(), used.end()};
}

}  // namespace

std::pair<Tensor, std::optional<Tensor>> ConvPackedParams::unpack() const {
  // Copies: a Tensor shares its memory, and what is packed must not change.
  return {impl_->weight.clone(), impl_->bias ? std::optional(impl_->bias->clone()) : std::nullopt};
}
const Tensor& ConvPackedParams::weight() const noexcept { return impl_->weight; }
const std::optional<Tensor>& ConvPackedParams::bias() const noexcept { return impl_->bias; }
const ConvGeometry& ConvPackedParams::geometry() const noexcept { return impl_->geometry; }
std::vector<std::int64_t> ConvPackedParams::stride() const {
  return as_vector(geometry(), geometry().stride);
}
std::vector<std::int64_t> ConvPackedParams::dilation() const {
  return as_vector(geometry(), geometry().dilation);
}
std::vector<std::int64_t> ConvPackedParams::output_padding() const {
  return as_vector(geometry(), geometry().output_padding);
}
std::vector<std::int64_t> ConvPackedParams::padding() const {
  std::vector<std::int64_t> values = as_vector(geometry(), geometry().padding_begin);
  if (geometry().padding_begin != geometry().padding_end) {
    const auto ends = geometry().used(geometry().padding_end);
    values.insert(values.end(), ends.begin(), ends.end());
  }
  return values;
}
std::int64_t ConvPackedParams::groups() const noexcept { return geometry().groups; }
bool ConvPackedParams::transpose() const noexcept { return geometry().transposed; }
RequantRule ConvPackedParams::rule() const noexcept { return impl_->rule; }
std::string_view ConvPackedParams::engine() const noexcept { return impl_->engine->name(); }
std::string ConvPackedParams::kernel() const {
  const auto plan = impl_->plans.latest();
  return plan ? plan->kernel_name() : impl_->packed->kernel();
}

}  // namespace qconv

#include <qconv/state_dict.hpp>

namespace qconv {

void StateDict::set(std::string_view name, Tensor tensor) {
  const auto [at, is_new] = index_.try_emplace(std::string(name), items_.size());
  if (is_new) {
    items_.emplace_back(name, std::move(tensor));
  } else {
    items_[at->second].second = std::move(tensor);
  }
}

const Tensor* StateDict::find(std::string_view name) const noexcept {
  const auto at = index_.find(name);
  return at == index_.end() ? nullptr : &items_[at->second].second;
}

void StateDict::erase(std::string_view name) {
  const auto at = index_.find(name);
  if (at == index_.end()) return;
  const std::size_t removed = at->second;
  index_.erase(at);
  items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(removed));
  for (auto& [other, position] : index_) {
    if (position > removed) --position;
  }
}

}  // namespace qconv

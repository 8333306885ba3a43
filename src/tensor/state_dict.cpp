#include <algorithm>

#include <qconv/state_dict.hpp>

namespace qconv {

void StateDict::set(std::string_view name, Tensor tensor) {
  const auto at =
      std::find_if(items_.begin(), items_.end(), [&](const Item& item) { return item.first == name; });
  if (at != items_.end()) {
    at->second = std::move(tensor);
  } else {
    items_.emplace_back(name, std::move(tensor));
  }
}

const Tensor* StateDict::find(std::string_view name) const noexcept {
  for (const Item& item : items_) {
    if (item.first == name) return &item.second;
  }
  return nullptr;
}

void StateDict::erase(std::string_view name) {
  std::erase_if(items_, [&](const Item& item) { return item.first == name; });
}

}  // namespace qconv

#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <qconv/export.hpp>
#include <qconv/tensor.hpp>

namespace qconv {

/// The saved state of a module: tensors by name ("layer1.weight"), in the order they were added. An undefined
/// tensor is PyTorch's None (a bias that is not there).
class QCONV_API StateDict {
 public:
  using Item = std::pair<std::string, Tensor>;

  /// Adds the entry, or replaces the tensor of the one with that name.
  void set(std::string_view name, Tensor tensor);
  /// The tensor of that name, or null.
  const Tensor* find(std::string_view name) const noexcept;
  /// Removes the entry if it is there.
  void erase(std::string_view name);

  std::size_t size() const noexcept { return items_.size(); }
  bool empty() const noexcept { return items_.empty(); }
  auto begin() const noexcept { return items_.begin(); }
  auto end() const noexcept { return items_.end(); }

 private:
  std::vector<Item> items_;
  std::map<std::string, std::size_t, std::less<>> index_;  // positions in items_
};

}  // namespace qconv

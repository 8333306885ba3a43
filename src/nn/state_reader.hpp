#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <qconv/nn/module.hpp>
#include <qconv/observers.hpp>

namespace qconv::nn {

/// Reads the entries of a module and all below it and collects everything that is wrong with them. Loading
/// has two steps, so that nothing changes unless all is well: the modules look at their entries and say what
/// to do with them, and finish() does it. Keys are what follows the state's prefix.
class StateReader {
 public:
  StateReader(const StateDict& state, std::string prefix) : state_(state), prefix_(std::move(prefix)) {}

  /// Expects the tensor `key`, of the target's dtype and sizes, and copies it there.
  void take(const std::string& key, Tensor& target);
  /// The same where the target holds a tensor.
  void take(const std::string& key, std::optional<Tensor>& target);
  /// Expects the entries of `observer` under `key_prefix` (ending in a dot), and loads them. It may be null:
  /// then none are expected.
  void take_observer(const std::string& key_prefix, Observer* observer);
  /// Does this when everything has been read and nothing forbids it.
  void then(std::function<void()> action) { actions_.push_back(std::move(action)); }

  /// The tensor `key`, or null, and a line in the report, when it is missing or of another dtype or sizes.
  const Tensor* tensor(const std::string& key, DType dtype, const Shape& sizes);
  /// The same for an entry that may be None; `required` tells whether it may be missing altogether.
  const Tensor* optional_tensor(const std::string& key, DType dtype, const Shape& sizes, bool required);
  /// The entry if it is there and holds plain numbers, at least one and at most `most`, whatever its dtype
  /// and sizes.
  const Tensor* numbers(const std::string& key, std::int64_t most);
  /// The entry's only value, if it is one number in [low, high]; a whole one, if that is asked for.
  std::optional<double> number(const std::string& key, double low, double high, bool whole);
  /// From now on the entry `key`, where it is missing, may be called `older`.
  void rename(const std::string& older, const std::string& key) { renamed_.emplace_back(older, key); }
  /// Notes why an entry cannot be used.
  void mismatch(const std::string& key, const std::string& why);

  /// Adds the keys that nobody asked for. Throws a ValueError with the whole report, in the name of `who`,
  /// when `strict` and something is wrong; otherwise does what was noted.
  LoadResult finish(const std::string& who, bool strict);

 private:
  const Tensor* find(const std::string& key);

  const StateDict& state_;
  std::string prefix_;
  std::vector<std::string> known_;
  std::vector<std::pair<std::string, std::string>> renamed_;
  std::vector<std::function<void()>> actions_;
  LoadResult result_;
};

/// Adds the observer's entries, if there is one.
void save_observer(StateDict& state, const Observer* observer, const std::string& prefix);

}  // namespace qconv::nn

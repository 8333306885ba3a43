#pragma once

#include <optional>
#include <string>
#include <vector>

#include <qconv/nn/module.hpp>
#include <qconv/observers.hpp>

namespace qconv::nn {

/// Reads one module's entries of a state dict and collects everything that is wrong with them.
class StateReader {
 public:
  StateReader(const StateDict& state, std::string prefix) : state_(state), prefix_(std::move(prefix)) {}

  /// The tensor `prefix + key`, or null, and a line in the report, when it is missing or of another dtype or
  /// sizes.
  const Tensor* tensor(const std::string& key, DType dtype, const Shape& sizes);
  /// The same for an entry that may be None; `required` tells whether it may be missing altogether.
  const Tensor* optional_tensor(const std::string& key, DType dtype, const Shape& sizes, bool required);
  /// The entry if it is there and holds plain numbers, at least one and at most `most`, whatever its dtype
  /// and sizes.
  const Tensor* numbers(const std::string& key, std::int64_t most);
  /// The entry's only value, if it is one number in [low, high]; a whole one, if that is asked for.
  std::optional<double> number(const std::string& key, double low, double high, bool whole);
  /// Whether the entries under `key_prefix` (ending in a dot) can be loaded into `observer`, which may be
  /// null: then none are expected.
  bool observer(const Observer* observer, const std::string& key_prefix);
  /// Notes why an entry cannot be used.
  void mismatch(const std::string& key, const std::string& why);

  /// Adds the keys that nobody asked for. Throws a ValueError with the whole report, in the name of `who`,
  /// when `strict` and something is wrong.
  LoadResult finish(const std::string& who, bool strict);

 private:
  const Tensor* find(const std::string& key);

  const StateDict& state_;
  std::string prefix_;
  std::vector<std::string> known_;
  LoadResult result_;
};

}  // namespace qconv::nn

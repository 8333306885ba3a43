#pragma once

#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <qconv/tensor.hpp>

namespace qconv::testing {

/// One file of the golden corpus with its tensors: tests/golden/README.md has the format.
class GoldenBlob {
 public:
  explicit GoldenBlob(const std::string& name) {
    const std::string path = std::string(QCONV_TEST_DATA "/golden/") + name + ".bin";
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot open " + path);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
  }

  /// The elements of a {shape, offset, length} record.
  template <class T>
  std::vector<T> values(const nlohmann::json& record) const {
    const auto offset = record.at("offset").get<std::size_t>();
    const auto length = record.at("length").get<std::size_t>();
    if (offset > bytes_.size() || length > bytes_.size() - offset)
      throw std::runtime_error("record outside the blob");
    std::vector<T> result(length / sizeof(T));
    std::copy_n(bytes_.data() + offset, length, reinterpret_cast<char*>(result.data()));
    return result;
  }

  /// Whatever is at `key`, or nothing when there is none.
  template <class T>
  std::optional<Tensor> optional_tensor(const nlohmann::json& holder, const char* key) const {
    return holder.contains(key) ? std::optional(tensor<T>(holder.at(key))) : std::nullopt;
  }

  template <class T>
  Tensor tensor(const nlohmann::json& record) const {
    return Tensor::from_data(values<T>(record), Shape(record.at("shape").get<std::vector<std::int64_t>>()));
  }

 private:
  std::vector<char> bytes_;
};

/// A JSON file of the golden corpus.
inline nlohmann::json golden_json(const std::string& name) {
  std::ifstream file(std::string(QCONV_TEST_DATA "/golden/") + name + ".json");
  return nlohmann::json::parse(file);
}

}  // namespace qconv::testing

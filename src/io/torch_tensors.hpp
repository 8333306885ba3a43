#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <qconv/tensor.hpp>

#include "io/pickle.hpp"
#include "io/torch_dtype.hpp"

namespace qconv {

/// Where the bytes of storages are.
class TorchStorages {
 public:
  virtual ~TorchStorages() = default;
  /// The bytes of the storage `key`, exactly `size` of them, in the file's byte order. Throws FileError when
  /// there is no such storage or when it has another size, before it takes any memory.
  virtual Tensor read(std::string_view key, std::uint64_t size) = 0;
  virtual bool big_endian() const = 0;
  /// What all tensors of the file may take together, as if none shared memory.
  virtual std::uint64_t most_bytes() const = 0;
};

/// Makes the tensors that a pickle tells of: it reads each storage once, so that tensors which shared memory
/// in PyTorch share it here.
class TorchTensors final : public PickleHost {
 public:
  TorchTensors(TorchStorages& storages, const std::vector<std::string>& safe_globals)
      : storages_(storages), safe_globals_(safe_globals) {}

  const Tensor& tensor(const PickleValue& value) const {
    return tensors_[static_cast<std::size_t>(value.integer)];
  }

  /// Reads the pickle from `begin` on and returns the position behind it. Throws FileError, also one that
  /// lists every class that may not occur: all of them, so that nobody has to find out one by one.
  std::size_t read(Pickle& pickle, std::size_t begin = 0);

  void see_global(std::string_view name) override;
  PickleRef persistent(Pickle& pickle, PickleRef id) override;
  PickleRef call(Pickle& pickle, PickleRef function, PickleRef arguments) override;

 private:
  struct Storage {
    std::string key;
    const TorchDType* dtype = nullptr;  // none yet for untyped ones
    std::string class_name;
    std::int64_t count = 0;  // elements; bytes of an untyped one
    Tensor elements;         // of dtype->dtype's plain type, 1-D; undefined until needed
  };
  struct Arguments {
    const Pickle& pickle;
    const PickleValue& tuple;
    std::string_view function;

    const PickleValue& at(std::size_t i, PickleKind kind) const;
    std::int64_t integer(std::size_t i) const;
    Shape shape(std::size_t i) const;
  };

  void check_globals(const Pickle& pickle) const;
  PickleRef add_tensor(Pickle& pickle, Tensor tensor);
  Storage& storage(const Arguments& arguments, const TorchDType* untyped_as);
  Tensor rebuild(const Arguments& arguments, const TorchDType* untyped_as, const PickleValue* params);
  QParams quantizer(const Pickle& pickle, const PickleValue& params);
  template <class T>
  std::vector<T> numbers(const Pickle& pickle, const PickleValue& value, const char* what) const;

  TorchStorages& storages_;
  const std::vector<std::string>& safe_globals_;
  std::set<std::string, std::less<>> unknown_;  // classes that may not occur
  std::vector<Storage> stored_;
  std::map<std::string, std::size_t, std::less<>> index_;  // key -> position in stored_
  std::vector<Tensor> tensors_;
  std::uint64_t qparams_bytes_ = 0;  // copied so far
};

}  // namespace qconv

#include "batches.hpp"

#include <memory>

namespace qconv::python {
namespace {

bool is_function(const nb::object& batches) {
  return PyCallable_Check(batches.ptr()) != 0 && !nb::hasattr(batches, "__iter__");
}

std::vector<Tensor> batch_of(nb::handle item) {
  std::vector<Tensor> tensors(1);
  const bool several = nb::isinstance<nb::list>(item) || nb::isinstance<nb::tuple>(item);
  if (several ? nb::try_cast(item, tensors) : nb::try_cast(item, tensors[0])) return tensors;
  throw TypeError("batches: expected float32 arrays, or lists of them, one per input, got a " +
                  std::string(several ? "list that holds something else"
                                      : nb::cast<std::string>(item.type().attr("__name__"))));
}

class Batches {
 public:
  explicit Batches(nb::object source) : source_(std::move(source)) {
    if (!is_function(source_)) iterator_ = nb::iter(source_);
  }

  std::optional<std::vector<Tensor>> next() {
    const nb::gil_scoped_acquire gil;
    if (!iterator_.is_valid()) {
      if (is_function(source_)) {
        nb::object made = source_();
        if (made.is_none()) return std::nullopt;
        if (PyIter_Check(made.ptr()) == 0) return batch_of(made);
        iterator_ = std::move(made);
      } else {
        iterator_ = nb::iter(source_);
      }
    }
    const nb::object item = nb::steal(PyIter_Next(iterator_.ptr()));
    if (item.is_valid()) return batch_of(item);
    iterator_.reset();
    if (PyErr_Occurred() != nullptr) throw nb::python_error();
    return std::nullopt;
  }

 private:
  nb::object source_;
  nb::object iterator_;
};

}  // namespace

BatchSource batches_of(const nb::object& batches) {
  return [state = std::make_shared<Batches>(batches)] { return state->next(); };
}

void require_again(const nb::object& batches, std::string_view who, std::string_view reason) {
  if (is_function(batches) || !nb::iter(batches).is(batches)) return;
  throw TypeError(std::string(who) + ": " + std::string(reason) + " needs the data more than once, and a " +
                  nb::cast<std::string>(batches.type().attr("__name__")) +
                  " can be read only once; give a list, an iterable that starts over, or a function that "
                  "returns an iterator");
}

}  // namespace qconv::python

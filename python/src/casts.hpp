#pragma once

#include <string>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <qconv/qconv.hpp>

/// How qconv's small value types look in Python: a size is a tuple, a mode is PyTorch's name of it, a state
/// dict is a dict.
namespace nanobind::detail {

/// int or a sequence of int.
template <>
struct type_caster<qconv::IntList> {
  NB_TYPE_CASTER(qconv::IntList, const_name("int | collections.abc.Sequence[int]"))
  type_caster() : value(0) {}

  bool from_python(handle source, uint8_t, cleanup_list*) noexcept {
    std::int64_t every = 0;
    std::vector<std::int64_t> list;
    if (try_cast(source, every)) {
      value = qconv::IntList(every);
    } else if (try_cast(source, list)) {
      value = qconv::IntList(std::move(list));
    } else {
      return false;
    }
    return true;
  }
};

/// int, a sequence of int, "same" or "valid".
template <>
struct type_caster<qconv::Padding> {
  NB_TYPE_CASTER(qconv::Padding, const_name("int | collections.abc.Sequence[int] | str"))
  type_caster() : value(0) {}

  bool from_python(handle source, uint8_t, cleanup_list*) noexcept {
    std::string name;
    std::int64_t every = 0;
    std::vector<std::int64_t> list;
    if (try_cast(source, name)) {
      value = qconv::Padding(std::move(name));
    } else if (try_cast(source, every)) {
      value = qconv::Padding(every);
    } else if (try_cast(source, list)) {
      value = qconv::Padding(std::move(list));
    } else {
      return false;
    }
    return true;
  }
};

/// A sequence of int in, a tuple out.
template <>
struct type_caster<qconv::Shape> {
  NB_TYPE_CASTER(qconv::Shape, const_name("tuple[int, ...]"))

  bool from_python(handle source, uint8_t, cleanup_list*) noexcept {
    std::vector<std::int64_t> values;
    if (!try_cast(source, values) || values.size() > qconv::kMaxRank) return false;
    value = qconv::Shape(values);
    return true;
  }
  static handle from_cpp(const qconv::Shape& shape, rv_policy, cleanup_list*) noexcept {
    object result = steal(PyTuple_New(shape.rank()));
    if (!result.is_valid()) return handle();
    for (int i = 0; i < shape.rank(); ++i) NB_TUPLE_SET_ITEM(result.ptr(), i, PyLong_FromLongLong(shape[i]));
    return result.release();
  }
};

/// Out, a dict from name to Tensor, or None where PyTorch has None; in, state_of_dict below, which can say
/// what is wrong.
template <>
struct type_caster<qconv::StateDict> {
  NB_TYPE_CASTER(qconv::StateDict, const_name("dict[str, Tensor | None]"))

  static handle from_cpp(const qconv::StateDict& state, rv_policy, cleanup_list*) {
    dict result;
    for (const auto& [name, tensor] : state) {
      result[name.c_str()] = tensor.defined() ? cast(tensor) : none();
    }
    return result.release();
  }
};

/// Python knows no const: the class has no method that changes anything.
template <>
struct type_caster<qconv::PackedParams> {
  using Shared = std::shared_ptr<qconv::ConvPackedParams>;
  NB_TYPE_CASTER(qconv::PackedParams, make_caster<qconv::ConvPackedParams>::Name)

  bool from_python(handle source, uint8_t, cleanup_list*) noexcept {
    Shared packed;
    if (!try_cast(source, packed)) return false;
    value = std::move(packed);
    return true;
  }
  static handle from_cpp(const qconv::PackedParams& packed, rv_policy policy,
                         cleanup_list* cleanup) noexcept {
    return make_caster<Shared>::from_cpp(std::const_pointer_cast<qconv::ConvPackedParams>(packed), policy,
                                         cleanup);
  }
};

}  // namespace nanobind::detail

namespace qconv::python {

namespace nb = nanobind;

/// The GIL is given up while C++ computes.
using release_gil = nb::call_guard<nb::gil_scoped_release>;

/// The Python module of that full name ("qconv.nn.quantized"), made and registered if it is not there yet.
nb::module_ submodule(const char* full_name);

/// "fbgemm" or "qnnpack"; ValueError for anything else.
RequantRule parse_rule(const std::string& name);

/// "fbgemm" or "qnnpack"; ValueError for another name.
RequantRule parse_rule(const std::string& name);

/// The dict as tensors by name; TypeError, in the name of `who`, that says which entry is none.
StateDict state_of_dict(const nb::dict& entries, const std::string& who);

/// @name What each file binds
/// @{
void bind_errors(nb::module_& m);
void bind_tensor(nb::module_& m);
void bind_ops(nb::module_& m);
void bind_observers(nb::module_& m);
void bind_modules();
void bind_convolutions();
void bind_training();
void bind_trees();
void bind_network(nb::module_& m);
void bind_quantization(nb::module_& m, nb::class_<Network>& network);
void bind_search(nb::module_& m, nb::class_<Network>& network);
void bind_analysis(nb::module_& m);
void bind_io(nb::module_& m);
/// @}

}  // namespace qconv::python

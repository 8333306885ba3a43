#pragma once

#include <nanobind/stl/shared_ptr.h>

#include "casts.hpp"

/// What the bindings of all convolution modules share.
namespace qconv::python {

using nb::arg;

/// The class's own docstring: what it is to PyTorch, what it takes, what constructing it can throw.
inline std::string class_doc(const char* torch_namespace, const std::string& name, const nn::ConvKind& kind,
                             const std::string& what) {
  static constexpr const char* kShapes[] = {"(N, C, L)", "(N, C, H, W)", "(N, C, D, H, W)"};
  return what + " with PyTorch's arguments, methods and saved state: " + torch_namespace + "." + name +
         ".\n\nInputs are " + kShapes[kind.ndim - 1] +
         "; kernel_size, stride and dilation are an int or one per dimension, padding also 'same', 'valid' "
         "or two per "
         "dimension. ValueError for arguments that no input could make valid. device and dtype are taken for "
         "PyTorch's "
         "sake and mean nothing here.";
}

inline nb::tuple tuple_of(const std::vector<std::int64_t>& values) { return nb::tuple(nb::cast(values)); }

template <class C, class... Extra>
void def_attributes(nb::class_<C, Extra...>& cls) {
  cls.def_prop_ro("in_channels", [](const C& c) { return c.in_channels; })
      .def_prop_ro("out_channels", [](const C& c) { return c.out_channels; })
      .def_prop_ro("kernel_size", [](const C& c) { return tuple_of(c.kernel_size); })
      .def_prop_ro("stride", [](const C& c) { return tuple_of(c.stride); })
      .def_prop_ro("padding", [](const C& c) { return tuple_of(c.padding); })
      .def_prop_ro("dilation", [](const C& c) { return tuple_of(c.dilation); })
      .def_prop_ro("transposed", [](const C& c) { return c.transposed; })
      .def_prop_ro("output_padding", [](const C& c) { return tuple_of(c.output_padding); })
      .def_prop_ro("groups", [](const C& c) { return c.groups; })
      .def_prop_ro("padding_mode", [](const C& c) { return std::string(to_string(c.padding_mode)); });
}

/// PyTorch's constructors; device and dtype are taken for its sake and mean nothing here.
template <class C, bool transposed, class... Extra>
void def_constructor(nb::class_<C, Extra...>& cls) {
  if constexpr (transposed) {
    cls.def(
        "__init__",
        [](C* self, std::int64_t in, std::int64_t out, const IntList& kernel, const IntList& stride,
           const Padding& padding, const IntList& output_padding, std::int64_t groups, bool bias,
           const IntList& dilation, const std::string& padding_mode, const nb::object&, const nb::object&) {
          new (self)
              C(in, out, kernel, stride, padding, output_padding, groups, bias, dilation, padding_mode);
        },
        arg("in_channels"), arg("out_channels"), arg("kernel_size"), arg("stride") = 1, arg("padding") = 0,
        arg("output_padding") = 0, arg("groups") = 1, arg("bias") = true, arg("dilation") = 1,
        arg("padding_mode") = "zeros", arg("device") = nb::none(), arg("dtype") = nb::none());
  } else {
    cls.def(
        "__init__",
        [](C* self, std::int64_t in, std::int64_t out, const IntList& kernel, const IntList& stride,
           const Padding& padding, const IntList& dilation, std::int64_t groups, bool bias,
           const std::string& padding_mode, const nb::object&, const nb::object&) {
          new (self) C(in, out, kernel, stride, padding, dilation, groups, bias, padding_mode);
        },
        arg("in_channels"), arg("out_channels"), arg("kernel_size"), arg("stride") = 1, arg("padding") = 0,
        arg("dilation") = 1, arg("groups") = 1, arg("bias") = true, arg("padding_mode") = "zeros",
        arg("device") = nb::none(), arg("dtype") = nb::none());
  }
}

}  // namespace qconv::python

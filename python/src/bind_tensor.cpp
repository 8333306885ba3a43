// Tensor, dtypes, quantize and dequantize; NumPy and DLPack in and out without copies.
#include <array>
#include <cstring>

#include <dlpack/dlpack.h>
#include <nanobind/ndarray.h>

#include "casts.hpp"

namespace qconv::python {

// A torch tensor that DLPack cannot carry: quantized, or with a history.
struct TorchTensor {
  nb::object tensor;
};

}  // namespace qconv::python

namespace nanobind::detail {

template <>
struct type_caster<qconv::python::TorchTensor> {
  NB_TYPE_CASTER(qconv::python::TorchTensor, const_name("torch.Tensor"))

  bool from_python(handle source, uint8_t, cleanup_list*) noexcept {
    std::string module;
    if (!try_cast(getattr(source.type(), "__module__", none()), module) || !module.starts_with("torch"))
      return false;
    object quantized = getattr(source, "is_quantized", none());
    object history = getattr(source, "requires_grad", none());
    if (!quantized.is(Py_True) && !history.is(Py_True)) return false;
    value.tensor = borrow(source);
    return true;
  }
};

}  // namespace nanobind::detail

namespace qconv::python {
namespace {

using Array = nb::ndarray<nb::ro, nb::device::cpu>;
using NumpyArray = nb::ndarray<nb::numpy>;

struct Row {
  DType dtype;
  nb::dlpack::dtype array;
};
const std::array<Row, 6>& dtypes() {
  static const std::array<Row, 6> table{{{float32, nb::dtype<float>()},
                                         {float64, nb::dtype<double>()},
                                         {int32, nb::dtype<std::int32_t>()},
                                         {int64, nb::dtype<std::int64_t>()},
                                         {uint8, nb::dtype<std::uint8_t>()},
                                         {int8, nb::dtype<std::int8_t>()}}};
  return table;
}

DType dtype_of_array(const nb::dlpack::dtype& type) {
  for (const Row& row : dtypes()) {
    if (row.array == type) return row.dtype;
  }
  throw TypeError("Tensor: the array has a dtype of " + std::to_string(type.bits) + " bits (DLPack code " +
                  std::to_string(type.code) +
                  "), expected float32, float64, int32, int64, uint8 or int8: convert it");
}

// Keeps a Python object alive from C++, and lets go of it on whatever thread the last tensor dies.
std::shared_ptr<void> keep(nb::object object) {
  return {new nb::object(std::move(object)), [](void* p) {
            const nb::gil_scoped_acquire gil;
            delete static_cast<nb::object*>(p);
          }};
}

// Elements in row-major order, for strides that qconv has no tensors of.
Tensor copied(const Array& array, const Shape& sizes, DType dtype) {
  Tensor result = Tensor::empty(sizes, dtype);
  const std::size_t width = element_size(dtype);
  auto* to = static_cast<char*>(result.raw_mutable_data());
  std::vector<std::int64_t> at(array.ndim(), 0);
  for (std::int64_t i = 0; i < result.numel(); ++i, to += width) {
    std::int64_t offset = 0;
    for (std::size_t d = 0; d < at.size(); ++d) offset += at[d] * array.stride(d);
    std::memcpy(to, static_cast<const char*>(array.data()) + offset * static_cast<std::int64_t>(width),
                width);
    for (std::size_t d = at.size(); d-- > 0 && ++at[d] == sizes[static_cast<int>(d)];) at[d] = 0;
  }
  return result;
}

Tensor from_array(const Array& array) {
  const DType dtype = dtype_of_array(array.dtype());
  if (array.ndim() > static_cast<std::size_t>(kMaxRank)) {
    throw ValueError("Tensor: the array has " + std::to_string(array.ndim()) + " dimensions, at most " +
                     std::to_string(kMaxRank) + " are supported");
  }
  Shape sizes;
  Shape strides;
  bool plain = true;
  for (std::size_t d = 0; d < array.ndim(); ++d) {
    sizes.push_back(static_cast<std::int64_t>(array.shape(d)));
    strides.push_back(array.stride(d));
    plain = plain && array.stride(d) >= 0;
  }
  if (!plain) return copied(array, sizes, dtype);
  if (array.size() == 0) return Tensor::empty(sizes, dtype);
  // Operators do not write to what they are given.
  auto* data = const_cast<void*>(array.data());  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  return Tensor::from_blob(data, sizes, strides, dtype, std::make_shared<Array>(array));
}

NumpyArray to_numpy(const Tensor& tensor) {
  if (tensor.is_quantized()) {
    throw TypeError("Tensor.numpy: NumPy has no quantized arrays, got " + tensor.to_string() +
                    "; take int_repr() or dequantize()");
  }
  nb::dlpack::dtype type{};
  for (const Row& row : dtypes()) {
    if (row.dtype == tensor.dtype()) type = row.array;
  }
  std::array<std::size_t, kMaxRank> shape{};
  for (int d = 0; d < tensor.dim(); ++d)
    shape[static_cast<std::size_t>(d)] = static_cast<std::size_t>(tensor.size(d));
  auto* owner = new Tensor(tensor);
  const nb::capsule guard(owner, [](void* p) noexcept { delete static_cast<Tensor*>(p); });
  return {owner->raw_mutable_data(),
          static_cast<std::size_t>(tensor.dim()),
          shape.data(),
          guard,
          tensor.strides().begin(),
          type};
}

nb::object to_capsule(const Tensor& tensor, const nb::kwargs&) {
  PyObject* capsule = PyCapsule_New(to_dlpack(tensor), "dltensor", [](PyObject* self) {
    // A capsule that was taken is called "used_dltensor"; its memory is the taker's.
    if (PyCapsule_IsValid(self, "dltensor") == 0) return;
    auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(self, "dltensor"));
    managed->deleter(managed);
  });
  return nb::steal(capsule);
}

Tensor from_capsule(const nb::object& source) {
  nb::object capsule = PyCapsule_CheckExact(source.ptr()) != 0 ? source : source.attr("__dlpack__")();
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
  if (managed == nullptr) throw nb::python_error();
  Tensor tensor = from_dlpack(managed);
  PyCapsule_SetName(capsule.ptr(), "used_dltensor");
  return tensor;
}

QParams qparams_of(const std::vector<double>& scales, const std::vector<std::int64_t>& zero_points,
                   int axis) {
  return axis < 0 ? QParams::per_tensor(scales.at(0), zero_points.at(0))
                  : QParams::per_channel(scales, zero_points, axis);
}

// The state of a pickled tensor: dtype, sizes, row-major bytes, and its quantization parameters.
using State = std::tuple<std::string, Shape, nb::bytes, std::vector<double>, std::vector<std::int64_t>, int>;

nb::tuple getstate(const Tensor& tensor) {
  const Tensor dense = tensor.contiguous();
  const QParams q = tensor.is_quantized() ? tensor.qparams() : QParams{{}, {}, -1};
  return nb::make_tuple(std::string(to_string(tensor.dtype())), tensor.sizes(),
                        nb::bytes(static_cast<const char*>(dense.raw_data()), dense.nbytes()), q.scales,
                        q.zero_points, q.axis);
}

void setstate(Tensor& tensor, const nb::tuple& state) {
  const auto dtype = parse_dtype(nb::cast<std::string>(state[0]));
  const auto sizes = nb::cast<Shape>(state[1]);
  const auto bytes = nb::cast<nb::bytes>(state[2]);
  if (!dtype) throw ValueError("Tensor: the pickled state names no dtype of qconv");
  Tensor result = is_quantized(*dtype)
                      ? Tensor::empty_quantized(sizes, *dtype,
                                                qparams_of(nb::cast<std::vector<double>>(state[3]),
                                                           nb::cast<std::vector<std::int64_t>>(state[4]),
                                                           nb::cast<int>(state[5])))
                      : Tensor::empty(sizes, *dtype);
  if (bytes.size() != result.nbytes())
    throw ValueError("Tensor: the pickled state has another number of bytes");
  std::memcpy(result.raw_mutable_data(), bytes.c_str(), bytes.size());
  new (&tensor) Tensor(std::move(result));
}

void bind_dtypes(nb::module_& m) {
  nb::enum_<DType> dtype(m, "DType", "Element types; quint8, qint8 and qint32 are quantized.");
  for (const DType d : {float32, float64, int32, int64, uint8, int8, quint8, qint8, qint32}) {
    dtype.value(std::string(to_string(d)).c_str(), d);
  }
  dtype.export_values();
}

}  // namespace

void bind_tensor(nb::module_& m) {
  bind_dtypes(m);
  nb::class_<Tensor> tensor(
      m, "Tensor",
      "A strided array of one dtype, with quantization parameters when the dtype is quantized.\n\n"
      "Tensor(array) shares the memory of a NumPy array, a torch tensor or anything else that "
      "has DLPack or the buffer protocol (float32, float64, int32, int64, uint8, int8), a quantized torch "
      "tensor included; an array "
      "with negative strides is copied. Every function here takes such arrays where it takes a "
      "Tensor.");
  tensor.def(nb::init_implicit<Tensor>());
  tensor.def(
      "__init__", [](Tensor* self, const Array& array) { new (self) Tensor(from_array(array)); },
      nb::arg("array"));
  tensor.def(
      "__init__",
      [](Tensor* self, const TorchTensor& source) {
        new (self) Tensor(nb::cast<Tensor>(nb::module_::import_("qconv").attr("from_torch")(source.tensor)));
      },
      nb::arg("array"));
  nb::implicitly_convertible<Array, Tensor>();
  nb::implicitly_convertible<TorchTensor, Tensor>();
  tensor.def_prop_ro("shape", &Tensor::sizes, "Sizes, a tuple.")
      .def_prop_ro("dtype", &Tensor::dtype)
      .def_prop_ro("ndim", &Tensor::dim)
      .def_prop_ro("is_quantized", &Tensor::is_quantized)
      .def_prop_ro("nbytes", &Tensor::nbytes)
      .def(
          "size",
          [](const Tensor& t, std::optional<int> dim) -> nb::object {
            return dim ? nb::cast(t.size(*dim)) : nb::cast(t.sizes());
          },
          nb::arg("dim") = nb::none(), "All sizes, or the one of dimension `dim`.")
      .def(
          "stride",
          [](const Tensor& t, std::optional<int> dim) -> nb::object {
            return dim ? nb::cast(t.stride(*dim)) : nb::cast(t.strides());
          },
          nb::arg("dim") = nb::none(), "Distances between neighbours, in elements.")
      .def("dim", &Tensor::dim, "How many dimensions.")
      .def("numel", &Tensor::numel, "How many elements.")
      .def(
          "data_ptr", [](const Tensor& t) { return reinterpret_cast<std::uintptr_t>(t.raw_data()); },
          "The address of the first element.")
      .def(
          "is_contiguous",
          [](const Tensor& t, bool channels_last) {
            return t.is_contiguous(channels_last ? MemoryFormat::channels_last : MemoryFormat::contiguous);
          },
          nb::arg("channels_last") = false, "Whether the elements lie densely in that order of memory.")
      .def(
          "contiguous",
          [](const Tensor& t, bool channels_last) {
            return t.contiguous(channels_last ? MemoryFormat::channels_last : MemoryFormat::contiguous);
          },
          nb::arg("channels_last") = false, release_gil(),
          "This tensor if it is dense in that order of memory, else a dense copy.")
      .def(
          "clone", [](const Tensor& t) { return t.clone(); }, release_gil(), "A copy that shares no memory.")
      .def("view", &Tensor::view, nb::arg("sizes"), "The same elements under other sizes; one may be -1.")
      .def("reshape", &Tensor::reshape, nb::arg("sizes"), "view() where possible, else a copy.")
      .def("flatten", &Tensor::flatten, nb::arg("start_dim") = 0, nb::arg("end_dim") = -1,
           "Dimensions start_dim to end_dim as one; a view where possible.")
      .def("permute", &Tensor::permute, nb::arg("dims"), "The dimensions in that order; a view.")
      .def("transpose", &Tensor::transpose, nb::arg("dim0"), nb::arg("dim1"),
           "Two dimensions exchanged; a view.")
      .def("unsqueeze", &Tensor::unsqueeze, nb::arg("dim"), "With a dimension of size 1 put in; a view.")
      .def("squeeze", &Tensor::squeeze, nb::arg("dim"), "Without that dimension of size 1; a view.")
      .def("narrow", &Tensor::narrow, nb::arg("dim"), nb::arg("start"), nb::arg("length"),
           "Elements [start, start + length) of a dimension; a view.")
      .def("select", &Tensor::select, nb::arg("dim"), nb::arg("index"),
           "One index of a dimension, which disappears; a view.")
      .def("item", &Tensor::item, "The only element as a float; ValueError when there is not exactly one.")
      .def("q_scale", &Tensor::q_scale, "The scale; TypeError unless the tensor is quantized per tensor.")
      .def("q_zero_point", &Tensor::q_zero_point, "The zero point; TypeError unless quantized per tensor.")
      .def("q_per_channel_scales", &Tensor::q_per_channel_scales, "float64, 1-D.")
      .def("q_per_channel_zero_points", &Tensor::q_per_channel_zero_points, "int64, 1-D.")
      .def("q_per_channel_axis", &Tensor::q_per_channel_axis, "The dimension of the channels.")
      .def(
          "qscheme", [](const Tensor& t) { return std::string(to_string(t.qscheme())); },
          "'per_tensor_affine' or 'per_channel_affine'; TypeError when not quantized.")
      .def("int_repr", &Tensor::int_repr, release_gil(), "A copy of the integers: uint8, int8 or int32.")
      .def("dequantize", &Tensor::dequantize, release_gil(),
           "float32: scale * (q - zero_point). A float32 tensor is returned as it is.")
      .def("numpy", &to_numpy, "A NumPy array over the same memory; TypeError for a quantized tensor.")
      .def(
          "__array__",
          [](const Tensor& t, const nb::args& args, const nb::kwargs& kwargs) {
            return nb::module_::import_("numpy").attr("array")(to_numpy(t), *args, **kwargs);
          },
          nb::sig(
              "def __array__(self, dtype: object = None, copy: bool | None = None) -> numpy.typing.NDArray"))
      .def("__dlpack__", &to_capsule,
           "The memory as a DLPack capsule; a quantized tensor gives its integers.")
      .def("__dlpack_device__", [](const Tensor&) { return nb::make_tuple(int{kDLCPU}, 0); })
      .def("__getstate__", &getstate)
      .def("__setstate__", &setstate)
      .def("__copy__", [](const Tensor& t) { return t; })
      .def(
          "__deepcopy__", [](const Tensor& t, const nb::dict&) { return t.clone(); }, nb::arg("memo"))
      .def("__repr__", &Tensor::to_string);
  tensor.def_static(
      "_from_memory",
      [](std::uintptr_t data, const Shape& sizes, const Shape& strides, DType dtype,
         const std::vector<double>& scales, const std::vector<std::int64_t>& zero_points, int axis,
         nb::object owner) {
        std::optional<QParams> qparams;
        if (is_quantized(dtype)) qparams = qparams_of(scales, zero_points, axis);
        return Tensor::from_blob(reinterpret_cast<void*>(data), sizes, strides, dtype, keep(std::move(owner)),
                                 std::move(qparams));
      },
      nb::arg("data"), nb::arg("sizes"), nb::arg("strides"), nb::arg("dtype"), nb::arg("scales"),
      nb::arg("zero_points"), nb::arg("axis"), nb::arg("owner"));

  m.def("from_dlpack", &from_capsule, nb::arg("source"),
        "A tensor over the memory of an object with __dlpack__, not copied. CPU memory of float32, "
        "float64, int32, int64, uint8 or int8; TypeError for others.");
  m.def("equal", &equal, nb::arg("a"), nb::arg("b"), release_gil(),
        "Whether dtype, sizes, quantization parameters and elements are equal, whatever the strides.");
  m.def("quantize_per_tensor", &quantize_per_tensor, nb::arg("array"), nb::arg("scale"),
        nb::arg("zero_point"), nb::arg("dtype"), release_gil(),
        "clamp(zero_point + round_half_even(x * (1 / float32(scale))), qmin, qmax) for every x of a "
        "float32 array.\n\n"
        "dtype is quint8, qint8 or qint32. TypeError unless the array is float32; ValueError unless the "
        "scale is positive and finite and the zero point inside the dtype's range.");
  m.def(
      "quantize_per_channel",
      [](const Tensor& array, const std::vector<double>& scales, const std::vector<std::int64_t>& zero_points,
         int axis, DType dtype) { return quantize_per_channel(array, scales, zero_points, axis, dtype); },
      nb::arg("array"), nb::arg("scales"), nb::arg("zero_points"), nb::arg("axis"), nb::arg("dtype"),
      release_gil(),
      "quantize_per_tensor with one scale and zero point for each index of dimension `axis`.\n\n"
      "Throws also when their number differs from the size of that dimension or the axis is out of range.");
  m.def("quantize_per_channel",
        nb::overload_cast<const Tensor&, const Tensor&, const Tensor&, int, DType>(&quantize_per_channel),
        nb::arg("array"), nb::arg("scales"), nb::arg("zero_points"), nb::arg("axis"), nb::arg("dtype"),
        release_gil());
  m.def("dequantize", &dequantize, nb::arg("input"), release_gil(), "float32: scale * (q - zero_point).");
  m.def(
      "make_quantized",
      [](const Tensor& integers, double scale, std::int64_t zero_point) {
        return make_quantized(integers, QParams::per_tensor(scale, zero_point));
      },
      nb::arg("integers"), nb::arg("scale"), nb::arg("zero_point"),
      "A quantized tensor over an array of integers, not copied: uint8 becomes quint8, int8 qint8, int32 "
      "qint32.");
  m.def(
      "make_quantized",
      [](const Tensor& integers, const std::vector<double>& scales,
         const std::vector<std::int64_t>& zero_points,
         int axis) { return make_quantized(integers, QParams::per_channel(scales, zero_points, axis)); },
      nb::arg("integers"), nb::arg("scales"), nb::arg("zero_points"), nb::arg("axis"));
}

}  // namespace qconv::python

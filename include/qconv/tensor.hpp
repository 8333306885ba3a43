#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include <qconv/dtype.hpp>
#include <qconv/export.hpp>
#include <qconv/memory_format.hpp>
#include <qconv/qparams.hpp>
#include <qconv/shape.hpp>

namespace qconv {

/// A strided array of one dtype, with quantization parameters when the dtype is quantized. Copying a Tensor
/// copies the handle: both see the same memory, as in PyTorch. A default-constructed Tensor is undefined and
/// holds nothing.
///
/// Every method that takes a dimension accepts negative ones, counted from the end, and throws ValueError
/// when it is out of range. Views (view, permute, narrow, ...) share memory with the tensor they come from.
class QCONV_API Tensor {
 public:
  Tensor() = default;

  /// Uninitialized memory. Throws ValueError for a negative size or more bytes than an address can hold, and
  /// TypeError for a quantized dtype (see empty_quantized).
  static Tensor empty(const Shape& sizes, DType dtype, MemoryFormat format = MemoryFormat::contiguous);
  static Tensor zeros(const Shape& sizes, DType dtype, MemoryFormat format = MemoryFormat::contiguous);
  /// Uninitialized quantized memory with these parameters; throws as check_qparams.
  static Tensor empty_quantized(const Shape& sizes, DType dtype, QParams qparams,
                                MemoryFormat format = MemoryFormat::contiguous);

  /// A copy of `values`, row major. Throws ValueError unless there are exactly sizes.numel() of them.
  template <Element T>
  static Tensor from_data(std::span<const T> values, const Shape& sizes) {
    return copy_of(values.data(), values.size(), dtype_of<T>, sizes);
  }
  template <Element T>
  static Tensor from_data(const std::vector<T>& values, const Shape& sizes) {
    return from_data(std::span<const T>(values), sizes);
  }
  /// A 0-dimensional tensor.
  template <Element T>
  static Tensor scalar(T value) {
    return copy_of(&value, 1, dtype_of<T>, Shape{});
  }

  /// A view of memory that somebody else owns; `owner` is kept alive as long as any view is. `strides` are in
  /// elements and not negative. `qparams` must be given for a quantized dtype and only then.
  static Tensor from_blob(void* data, const Shape& sizes, const Shape& strides, DType dtype,
                          std::shared_ptr<void> owner = nullptr,
                          std::optional<QParams> qparams = std::nullopt);

  bool defined() const noexcept { return data_ != nullptr || storage_ != nullptr; }
  const Shape& sizes() const noexcept { return sizes_; }
  const Shape& strides() const noexcept { return strides_; }
  std::int64_t size(int dim) const;
  std::int64_t stride(int dim) const;
  int dim() const noexcept { return sizes_.rank(); }
  std::int64_t numel() const noexcept { return numel_; }
  std::size_t nbytes() const noexcept { return static_cast<std::size_t>(numel_) * element_size(dtype_); }
  DType dtype() const noexcept { return dtype_; }
  bool is_quantized() const noexcept { return qconv::is_quantized(dtype_); }

  /// Whether the elements lie densely in that order (dimensions of size 1 may have any stride).
  bool is_contiguous(MemoryFormat format = MemoryFormat::contiguous) const;
  /// This tensor if it already is dense in `format`, else a dense copy.
  Tensor contiguous(MemoryFormat format = MemoryFormat::contiguous) const;
  /// A dense copy that shares nothing with this tensor.
  Tensor clone(MemoryFormat format = MemoryFormat::contiguous) const;
  /// Copies the elements (and not the quantization parameters) of `source` here; sizes and dtype must be
  /// equal.
  void copy_(const Tensor& source);

  /// The same elements under other sizes (one may be -1), sharing memory. Throws ValueError when the strides
  /// do not allow it or when per-channel parameters would lose their dimension.
  Tensor view(const Shape& sizes) const;
  /// view() where possible, else a copy.
  Tensor reshape(const Shape& sizes) const;
  Tensor flatten(int start_dim = 0, int end_dim = -1) const;
  Tensor permute(const Shape& dims) const;
  Tensor transpose(int dim0, int dim1) const;
  Tensor unsqueeze(int dim) const;
  Tensor squeeze(int dim) const;
  /// Elements [start, start + length) of dimension `dim`.
  Tensor narrow(int dim, std::int64_t start, std::int64_t length) const;
  /// Element `index` of dimension `dim`, which disappears.
  Tensor select(int dim, std::int64_t index) const;

  /// The first element. The memory of quint8, qint8 and qint32 reads as uint8_t, int8_t and int32_t.
  const void* raw_data() const noexcept { return data_; }
  void* raw_mutable_data() noexcept { return data_; }
  /// Throws TypeError unless the tensor's memory holds elements of type T.
  template <Element T>
  const T* data() const {
    check_element(dtype_of<T>);
    return static_cast<const T*>(data_);
  }
  template <Element T>
  T* mutable_data() {
    check_element(dtype_of<T>);
    return static_cast<T*>(data_);
  }
  /// The elements in row-major order, copied.
  template <Element T>
  std::vector<T> to_vector() const {
    const Tensor dense = contiguous();
    const T* first = dense.data<T>();
    return std::vector<T>(first, first + dense.numel());
  }
  /// The only element, converted. Throws ValueError when there is not exactly one.
  double item() const;

  /// The quantization parameters; TypeError when the tensor is not quantized.
  const QParams& qparams() const;
  QScheme qscheme() const { return qparams().qscheme(); }
  /// Per-tensor parameters; TypeError when the tensor is quantized per channel.
  double q_scale() const;
  std::int64_t q_zero_point() const;
  /// Per-channel parameters (float64 and int64, 1-D) and their axis; TypeError when quantized per tensor.
  Tensor q_per_channel_scales() const;
  Tensor q_per_channel_zero_points() const;
  int q_per_channel_axis() const;
  /// A copy of the integers as uint8, int8 or int32.
  Tensor int_repr() const;
  /// scale * (q - zero_point) as float32; a float32 tensor is returned as it is.
  Tensor dequantize() const;

  /// "Tensor(quint8, (1, 3, 8, 8), scale=0.1, zero_point=128)": dtype, sizes, parameters, not the elements.
  std::string to_string() const;

 private:
  static Tensor copy_of(const void* data, std::size_t count, DType dtype, const Shape& sizes);
  static Tensor allocate(const Shape& sizes, DType dtype, MemoryFormat format);
  void check_element(DType element) const;
  int wrap_dim(int dim, const char* method) const;
  Tensor with_geometry(const Shape& sizes, const Shape& strides, std::int64_t offset) const;

  std::shared_ptr<void> storage_;
  void* data_ = nullptr;
  Shape sizes_;
  Shape strides_;
  std::int64_t numel_ = 0;
  DType dtype_ = DType::float32;
  std::shared_ptr<const QParams> qparams_;
};

/// Throws ValueError or TypeError, in the name of `who` (and behind it `what`, as in ": output"), unless the
/// parameters fit a tensor of these sizes and dtype: positive finite scales, zero points inside the dtype's
/// range, as many as the axis has indices.
QCONV_API void check_qparams(const QParams& qparams, const Shape& sizes, DType dtype, std::string_view who,
                             std::string_view what = {});

/// Whether two tensors have equal dtype, sizes, quantization parameters and elements, whatever their strides.
QCONV_API bool equal(const Tensor& a, const Tensor& b);

}  // namespace qconv

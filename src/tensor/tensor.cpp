#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include <qconv/quantize.hpp>
#include <qconv/tensor.hpp>

#include "support/aligned_buffer.hpp"
#include "support/check.hpp"
#include "tensor/dense_format.hpp"
#include "tensor/output_placement.hpp"
#include "tensor/strided_copy.hpp"

namespace qconv {

Tensor Tensor::allocate(const Shape& sizes, DType dtype, MemoryFormat format) {
  Tensor result;
  result.sizes_ = sizes;
  result.numel_ = sizes.numel();
  result.dtype_ = dtype;
  result.strides_ = dense_strides(sizes, format);
  const std::size_t width = element_size(dtype);
  check(result.numel_ <= std::numeric_limits<std::int64_t>::max() / static_cast<std::int64_t>(width) - 64,
        "a {} tensor of sizes {} does not fit an address space", qconv::to_string(dtype), sizes);
  const std::size_t bytes = static_cast<std::size_t>(result.numel_) * width;
  if (void* placed = OutputPlacement::take(bytes)) {
    result.storage_ = std::shared_ptr<void>(std::shared_ptr<void>(), placed);
  } else {
    result.storage_ = std::shared_ptr<void>(allocate_aligned(bytes));
  }
  result.data_ = result.storage_.get();
  return result;
}

Tensor Tensor::empty(const Shape& sizes, DType dtype, MemoryFormat format) {
  check<TypeError>(!qconv::is_quantized(dtype),
                   "empty: {} needs quantization parameters; use empty_quantized", qconv::to_string(dtype));
  return allocate(sizes, dtype, format);
}

Tensor Tensor::zeros(const Shape& sizes, DType dtype, MemoryFormat format) {
  Tensor result = empty(sizes, dtype, format);
  std::memset(result.data_, 0, result.nbytes());
  return result;
}

Tensor Tensor::empty_quantized(const Shape& sizes, DType dtype, QParams qparams, MemoryFormat format) {
  check_qparams(qparams, sizes, dtype, "empty_quantized");
  Tensor result = allocate(sizes, dtype, format);
  result.qparams_ = std::make_shared<const QParams>(std::move(qparams));
  return result;
}

Tensor Tensor::copy_of(const void* data, std::size_t count, DType dtype, const Shape& sizes) {
  check(static_cast<std::size_t>(sizes.numel()) == count,
        "from_data: {} values do not fill a tensor of sizes {}", count, sizes);
  Tensor result = allocate(sizes, dtype, MemoryFormat::contiguous);
  if (count > 0) std::memcpy(result.data_, data, result.nbytes());
  return result;
}

Tensor Tensor::from_blob(void* data, const Shape& sizes, const Shape& strides, DType dtype,
                         std::shared_ptr<void> owner, std::optional<QParams> qparams) {
  check(sizes.rank() == strides.rank(), "from_blob: {} sizes but {} strides", sizes.rank(), strides.rank());
  for (std::int64_t s : strides) check(s >= 0, "from_blob: strides must not be negative, got {}", strides);
  Tensor result;
  result.numel_ = sizes.numel();
  check(data != nullptr || result.numel_ == 0, "from_blob: no memory given for sizes {}", sizes);
  check<TypeError>(qparams.has_value() == qconv::is_quantized(dtype),
                   "from_blob: {} {} quantization parameters", qconv::to_string(dtype),
                   qparams ? "takes no" : "needs");
  if (qparams) {
    check_qparams(*qparams, sizes, dtype, "from_blob");
    result.qparams_ = std::make_shared<const QParams>(std::move(*qparams));
  }
  result.sizes_ = sizes;
  result.strides_ = strides;
  result.dtype_ = dtype;
  result.data_ = data;
  // Aliasing pointer: a view without an owner still counts as defined when it is empty.
  result.storage_ = owner ? std::move(owner) : std::shared_ptr<void>(std::shared_ptr<void>(), data);
  return result;
}

int Tensor::wrap_dim(int dim, const char* method) const {
  const int rank = sizes_.rank();
  check(dim >= -rank && dim < rank, "{}: dimension {} is out of range for a tensor of sizes {}", method, dim,
        sizes_);
  return dim < 0 ? dim + rank : dim;
}

std::int64_t Tensor::size(int dim) const { return sizes_[wrap_dim(dim, "size")]; }
std::int64_t Tensor::stride(int dim) const { return strides_[wrap_dim(dim, "stride")]; }

bool Tensor::is_contiguous(MemoryFormat format) const {
  if (numel_ == 0) return true;
  if (format == MemoryFormat::channels_last && (dim() < 3 || dim() > 5)) return false;
  const Shape dense = dense_strides(sizes_, format);
  for (int d = 0; d < dim(); ++d) {
    if (sizes_[d] != 1 && strides_[d] != dense[d]) return false;
  }
  return true;
}

Tensor Tensor::contiguous(MemoryFormat format) const { return is_contiguous(format) ? *this : clone(format); }

Tensor Tensor::clone(MemoryFormat format) const {
  check(defined(), "clone: the tensor is undefined");
  Tensor result = allocate(sizes_, dtype_, format);
  result.qparams_ = qparams_;
  strided_copy(result.data_, result.strides_, data_, strides_, sizes_, element_size(dtype_));
  return result;
}

void Tensor::copy_(const Tensor& source) {
  check(sizes_ == source.sizes_, "copy_: sizes {} cannot be copied to {}", source.sizes_, sizes_);
  check<TypeError>(dtype_ == source.dtype_, "copy_: {} cannot be copied to {}",
                   qconv::to_string(source.dtype_), qconv::to_string(dtype_));
  strided_copy(data_, strides_, source.data_, source.strides_, sizes_, element_size(dtype_));
}

void Tensor::check_element(DType element) const {
  check<TypeError>(info(dtype_).storage == element, "a {} tensor cannot be read as {}",
                   qconv::to_string(dtype_), qconv::to_string(element));
}

double Tensor::item() const {
  check(numel_ == 1, "item: a tensor of sizes {} has {} elements, expected 1", sizes_, numel_);
  if (is_quantized()) return dequantize().item();
  switch (dtype_) {
    case DType::float32:
      return *static_cast<const float*>(data_);
    case DType::float64:
      return *static_cast<const double*>(data_);
    case DType::int64:
      return static_cast<double>(*static_cast<const std::int64_t*>(data_));
    case DType::int32:
      return *static_cast<const std::int32_t*>(data_);
    case DType::uint8:
      return *static_cast<const std::uint8_t*>(data_);
    default:
      return *static_cast<const std::int8_t*>(data_);
  }
}

const QParams& Tensor::qparams() const {
  check<TypeError>(qparams_ != nullptr, "a {} tensor has no quantization parameters; quantize it first",
                   qconv::to_string(dtype_));
  return *qparams_;
}

namespace {

const QParams& per_tensor_only(const QParams& q, const char* method) {
  check<TypeError>(!q.is_per_channel(), "{}: the tensor is quantized per channel (axis {})", method, q.axis);
  return q;
}

const QParams& per_channel_only(const QParams& q, const char* method) {
  check<TypeError>(q.is_per_channel(), "{}: the tensor is quantized per tensor", method);
  return q;
}

}  // namespace

double Tensor::q_scale() const { return per_tensor_only(qparams(), "q_scale").scales[0]; }
std::int64_t Tensor::q_zero_point() const {
  return per_tensor_only(qparams(), "q_zero_point").zero_points[0];
}
int Tensor::q_per_channel_axis() const { return per_channel_only(qparams(), "q_per_channel_axis").axis; }

Tensor Tensor::q_per_channel_scales() const {
  const QParams& q = per_channel_only(qparams(), "q_per_channel_scales");
  return from_data(q.scales, {static_cast<std::int64_t>(q.scales.size())});
}

Tensor Tensor::q_per_channel_zero_points() const {
  const QParams& q = per_channel_only(qparams(), "q_per_channel_zero_points");
  return from_data(q.zero_points, {static_cast<std::int64_t>(q.zero_points.size())});
}

Tensor Tensor::int_repr() const {
  qparams();
  Tensor result = *this;
  result.qparams_ = nullptr;
  result.dtype_ = info(dtype_).storage;
  return result.clone(dense_format(result));
}

Tensor Tensor::dequantize() const { return dtype_ == DType::float32 ? *this : qconv::dequantize(*this); }

std::string Tensor::to_string() const {
  if (!defined()) return "Tensor(undefined)";
  std::string text = fmt::format("Tensor({}, {}", qconv::to_string(dtype_), sizes_.to_string());
  if (qparams_ && qparams_->is_per_channel()) {
    text += fmt::format(", axis={}, {} scales", qparams_->axis, qparams_->scales.size());
  } else if (qparams_) {
    text += fmt::format(", scale={}, zero_point={}", qparams_->scales[0], qparams_->zero_points[0]);
  }
  return text + ")";
}

void check_qparams(const QParams& qparams, const Shape& sizes, DType dtype, std::string_view who,
                   std::string_view what) {
  const DTypeInfo& row = info(dtype);
  check<TypeError>(row.quantized, "{}{}: expected a quantized dtype (quint8, qint8 or qint32), got {}", who,
                   what, row.name);
  const std::size_t count = qparams.scales.size();
  check(qparams.zero_points.size() == count, "{}{}: got {} scales but {} zero points", who, what, count,
        qparams.zero_points.size());
  if (qparams.is_per_channel()) {
    check(qparams.axis < sizes.rank(), "{}{}: channel axis {} is out of range for sizes {}", who, what,
          qparams.axis, sizes);
    check(static_cast<std::int64_t>(count) == sizes[qparams.axis],
          "{}{}: got {} scales for dimension {} of sizes {}, expected {}", who, what, count, qparams.axis,
          sizes, sizes[qparams.axis]);
  } else {
    check(qparams.axis == -1, "{}{}: channel axis {} is out of range for sizes {}", who, what, qparams.axis,
          sizes);
    check(count == 1, "{}{}: got {} scales for a tensor quantized per tensor, expected 1", who, what, count);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto scale = static_cast<float>(qparams.scales[i]);
    check(std::isfinite(scale) && scale > 0 && std::isfinite(1.0F / scale),
          "{}{}: scale must be positive and finite, and so must its reciprocal as a float, got {}", who, what,
          qparams.scales[i]);
    const std::int64_t zero_point = qparams.zero_points[i];
    check(zero_point >= row.quant_min && zero_point <= row.quant_max,
          "{}{}: zero_point {} is outside the range of {}, [{}, {}]", who, what, zero_point, row.name,
          row.quant_min, row.quant_max);
  }
}

bool equal(const Tensor& a, const Tensor& b) {
  if (a.defined() != b.defined()) return false;
  if (!a.defined()) return true;
  if (a.dtype() != b.dtype() || !(a.sizes() == b.sizes())) return false;
  if (a.is_quantized() && !(a.qparams() == b.qparams())) return false;
  const Tensor x = a.contiguous();
  const Tensor y = b.contiguous();
  return x.numel() == 0 || std::memcmp(x.raw_data(), y.raw_data(), x.nbytes()) == 0;
}

}  // namespace qconv

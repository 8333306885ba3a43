#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include <qconv/dtype.hpp>
#include <qconv/shape.hpp>

namespace qconv {

/// What the header of a .npy file says.
struct NpyHeader {
  DType dtype = DType::float32;
  bool big_endian = false;
  bool fortran_order = false;
  Shape sizes;
  std::uint64_t header_bytes = 0;  ///< how many bytes the header takes
  std::uint64_t data_bytes = 0;    ///< how many bytes of elements follow
};

/// Fills the span with the next bytes of a file; throws FileError when there are not enough.
using ReadNext = std::function<void(std::span<std::byte>)>;

/// Reads the header, format versions 1 to 3. Throws FileError, in the name of `who`, for anything that is not
/// an array of a supported dtype whose size fits an address space. Takes 64 KiB at most.
NpyHeader read_npy_header(const ReadNext& read_next, const std::string& who);

/// The header of a row-major little-endian array, version 1.0, padded so that the elements begin at a
/// multiple of 64 bytes.
std::string npy_header_text(DType dtype, const Shape& sizes);

}  // namespace qconv

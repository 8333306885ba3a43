#pragma once

#include <stdexcept>

#include <qconv/export.hpp>

namespace qconv {

/// The root of every exception that qconv throws. The message is one line: it names the operator, module or
/// file, what it got, what it expected and, where that is not obvious, how to fix it.
class QCONV_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An argument of the right kind with a value that cannot be used: a shape, a scale, a padding.
class QCONV_API ValueError : public Error {
 public:
  using Error::Error;
};

/// An argument of the wrong kind: a dtype, a quantization scheme, a module class.
class QCONV_API TypeError : public Error {
 public:
  using Error::Error;
};

/// A file that cannot be read or written, or that does not hold what it promises.
class QCONV_API FileError : public Error {
 public:
  using Error::Error;
};

}  // namespace qconv

#pragma once

#include <string_view>

#include <qconv/export.hpp>

/// The version of these headers (semantic versioning). This is the one place where it is written: CMake, the
/// package files and the program read it from here.
#define QCONV_VERSION_MAJOR 0
#define QCONV_VERSION_MINOR 1
#define QCONV_VERSION_PATCH 0

/// The same as one number that compares in order: 0.1.0 is 100, 1.2.3 is 10203.
#define QCONV_VERSION (QCONV_VERSION_MAJOR * 10000 + QCONV_VERSION_MINOR * 100 + QCONV_VERSION_PATCH)

namespace qconv {

/// The version of the library that is linked, as "major.minor.patch"; it differs from the macros when a
/// program runs with another shared library than it was compiled for.
QCONV_API std::string_view version() noexcept;

}  // namespace qconv

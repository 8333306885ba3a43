#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <qconv/conv_problem.hpp>
#include <qconv/export.hpp>

namespace qconv {

/// The engines of this build, fastest first: "native", then "reference", which runs everything.
QCONV_API std::vector<std::string> list_engines();

/// The one in use where a call names none: QCONV_ENGINE, else the first, whose place the next takes when it
/// declines. Throws ValueError when QCONV_ENGINE names none that there is.
QCONV_API std::string active_engine();

/// Why the named engine cannot run such a convolution; empty when it can. Throws ValueError for an unknown
/// engine.
QCONV_API std::string why_declined(std::string_view engine, const ConvGeometry& geometry);

}  // namespace qconv

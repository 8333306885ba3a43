#pragma once

#include <string>
#include <vector>

#include "support/conv_case.hpp"

namespace qconv::testing {

/// How a case went on every instruction set of this machine, with one thread and with three.
struct Conformance {
  std::string difference;  ///< the first byte that is not the reference's, in words; empty when there is none
  std::vector<std::string> kernels;  ///< that ran
};

/// Where the kernels in tile registers and Winograd's can run they do, as well as the others.
Conformance compare_with_reference(const ConvCase& c);

}  // namespace qconv::testing

#pragma once

#include <qconv/network.hpp>

#include "support/check.hpp"

namespace qconv::graph {

/// Throws ValueError, in the name of `who`, where the network was loaded with NetworkOptions::run_only: what
/// reads its weights would find zeros.
inline void check_keeps_weights(std::string_view who, const Network& network) {
  check(!network.options().run_only,
        "{}: the network '{}' was loaded to be run only and has let its weights go; load it without run_only",
        who, network.name());
}

}  // namespace qconv::graph

#pragma once

#include <CLI/CLI.hpp>

namespace qconv::cli {

/// Accepts finite numbers above 0.
CLI::Validator positive_number();
/// Accepts how many samples to use: whole numbers, 0 (all) or more.
CLI::Validator sample_count();

}  // namespace qconv::cli

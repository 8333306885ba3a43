#pragma once

#include <string_view>

#include <CLI/CLI.hpp>

#include <qconv/torch_file.hpp>

#include "cli/output.hpp"

namespace qconv::cli {

/// --safe-global CLASS, any number of times.
void add_safe_globals(CLI::App& app, TorchLoadOptions& options);

/// "values, as torch.save writes them".
std::string_view describe(TorchFileKind kind);

/// The quantized convolutions and packed parameters of a file as a table each; nothing where there are none.
void print_convolutions(const TorchFile& file);
/// The same, and the kind of file.
Json torch_json(const TorchFile& file);

}  // namespace qconv::cli

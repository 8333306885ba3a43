#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <qconv/error.hpp>
#include <qconv/network.hpp>
#include <qconv/quantize_network.hpp>

#include "cli/dataset.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/ranks.hpp"

namespace qconv::cli {

/// Throws FileError when the name does not end in .onnx or there is no such file.
Network load_network(const std::filesystem::path& path, const NetworkOptions& options = {});

/// The only input of a network; throws ValueError, naming `path`, when it has more.
const ValueInfo& only_input(const Network& network, const std::filesystem::path& path);

/// Calls `use`, and puts the name of the file in front of what a ValueError says.
template <class Use>
auto naming(const std::filesystem::path& path, const Use& use) {
  try {
    return use();
  } catch (const ValueError& error) {
    throw ValueError(fmt::format("{}: {}", path.string(), error.what()));
  }
}

/// How many channels an input has, or 0 when that is not known.
std::int64_t channels_of(const ValueInfo& input);

/// The samples one after the other as batches of a network whose input has so many channels, counted by
/// `progress`. Both must outlive the source, which starts over after its end.
BatchSource batches_of(const Dataset& data, std::int64_t channels, Progress& progress);

/// This rank's samples: every size()th, so that all ranks get as many of each kind where data is sorted.
Dataset share_of(const Dataset& data);

/// "1x3x224x224" as a Shape. Throws UsageError in the name of `option`.
Shape parse_sizes(const std::string& text, const std::string& option);

/// Name, dtype, sizes, scale and zero point.
Json to_json(const ValueInfo& value);
/// All that LayerInfo says, without what is not known.
Json to_json(const LayerInfo& layer);

/// The layers in columns, then totals. `sizes` and `layers` as in Network::layers.
void print_layers(const Network& network, std::span<const LayerInfo> layers, std::span<const Shape> sizes);

}  // namespace qconv::cli

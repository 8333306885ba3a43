// In place of the ONNX sources in a build without them.
#include <qconv/error.hpp>

#include "io/onnx.hpp"

namespace qconv::io {
namespace {

[[noreturn]] void refuse() {
  throw FileError("this build of qconv has no ONNX: configure it with QCONV_WITH_ONNX=ON");
}

}  // namespace

graph::Graph read_onnx(const std::filesystem::path&) { refuse(); }
graph::Graph read_onnx(std::span<const std::byte>, std::string_view) { refuse(); }
std::string write_onnx(const graph::Graph&) { refuse(); }
std::vector<std::string> supported_onnx_operators() { return {}; }

}  // namespace qconv::io

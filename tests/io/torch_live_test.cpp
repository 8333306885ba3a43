// What the writer makes, read by PyTorch itself. Built when the environment variable QCONV_TORCH_PYTHON names
// a Python that has PyTorch while CMake configures.
#include <cstdlib>

#include "io/io_test_util.hpp"

namespace qconv {
namespace {

using namespace testing_io;

int run_python(const std::string& arguments) {
  const std::string script = std::string(QCONV_TEST_DATA) + "/io/check_torch_writer.py";
  return std::system(fmt::format("'{}' -W ignore '{}' {}", QCONV_TORCH_PYTHON, script, arguments).c_str());
}

TEST(TorchLive, PyTorchLoadsWhatWeSave) {
  const ScratchFolder folder;
  const fs::path fixtures = fs::path(QCONV_TEST_DATA) / "io" / "torch";
  const TorchLoadOptions options{.safe_globals = {"__main__.Net"}};
  for (const char* name : {"net.pt", "tensors.pt", "checkpoint.pth", "classes.pt"}) {
    save_torch(load_torch(fixtures / name, options), folder / name);
  }
  const TorchFile packed = load_torch_file(fixtures / "packed_v3.pt");
  NamedPackedParams all;
  for (const TorchPackedParams& one : packed.packed_params) all.emplace_back(one.name, one.prepack());
  save_torch_packed(all, folder / "packed_v3.pt");
  EXPECT_EQ(run_python(fmt::format("'{}' '{}'", fixtures.string(), folder.path().string())), 0);
}

}  // namespace
}  // namespace qconv

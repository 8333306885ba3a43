// What --data takes: a folder of images, an image, an array or an archive of them. The first byte says how
// many files there are; the rest is their contents, each with a byte for its kind and two for its length in
// front.
#include <array>

#include "cli/dataset.hpp"
#include "fuzz_util.hpp"
#include "support/scratch_folder.hpp"
#include "targets.hpp"

namespace {

using namespace qconv;

constexpr std::array kNames{"a.png", "b.jpg", "c.jpeg", "d.PNG", "e.npy", "f.npz", "g.txt", "h"};

// Every sample of small data, as a network of three channels would read it.
void read_samples(const std::filesystem::path& path) {
  cli::Preprocessing preprocessing;
  preprocessing.images.resize = "9";
  preprocessing.images.crop = "7x8";
  preprocessing.mean = {0.5};
  preprocessing.std = {0.25, 0.5, 0.75};
  const cli::Dataset data(path, preprocessing, {}, 4);
  fuzzing::require(data.size() <= 4, "more samples than asked for");
  for (std::size_t i = 0; i < data.size(); ++i) {
    fuzzing::accepts([&] {
      const Tensor sample = data.sample(i, 3);
      fuzzing::require(sample.dtype() == float32 && sample.dim() >= 1 && sample.size(0) == 1,
                       "a sample that is none: " + sample.to_string());
    });
  }
}

}  // namespace

int fuzz_data_folder(const std::uint8_t* data, std::size_t size) {
  using namespace qconv::fuzzing;
  const testing_files::ScratchFolder folder;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  if (rest.empty()) return 0;
  const auto number = [&](std::size_t i) { return std::size_t{static_cast<std::uint8_t>(rest[i])}; };
  const std::size_t count = number(0) % 4;
  rest.remove_prefix(1);
  std::filesystem::path last = folder.path() / "none";
  for (std::size_t i = 0; i < count && rest.size() > 3; ++i) {
    const std::size_t kind = number(0) % kNames.size();
    const std::size_t length = std::min(number(1) + 256 * number(2), rest.size() - 3);
    last = folder.write(kNames[kind], rest.substr(3, length));
    rest.remove_prefix(3 + length);
  }
  for (const std::filesystem::path& path : {folder.path(), last}) {
    accepts([&] { read_samples(path); });
  }
  return 0;
}

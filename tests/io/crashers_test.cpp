// Replays what the fuzz targets started from and every input that once crashed one. A target that finds
// something wrong ends the program, which fails the test.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "targets.hpp"

namespace {

namespace fs = std::filesystem;

struct Target {
  const char* name;
  int (*entry)(const std::uint8_t*, std::size_t);
};
constexpr Target kTargets[] = {
#define QCONV_FUZZ_TARGET(name) {#name, fuzz_##name},
#include "targets.inc"
#undef QCONV_FUZZ_TARGET
};

// Returns how many files there were.
int replay(const Target& target, const fs::path& folder) {
  if (!fs::exists(folder)) return 0;
  int count = 0;
  for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
    SCOPED_TRACE(file.path().string());
    std::ifstream in(file.path(), std::ios::binary);
    const std::vector<char> bytes(std::istreambuf_iterator<char>(in), {});
    EXPECT_EQ(target.entry(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()), 0);
    ++count;
  }
  return count;
}

TEST(FuzzTargets, TakeTheirCorpus) {
  for (const Target& target : kTargets) {
    EXPECT_GT(replay(target, fs::path(QCONV_TEST_DATA) / "../fuzz/corpus" / target.name), 0) << target.name;
  }
}

TEST(FuzzTargets, TakeWhatOnceCrashedThem) {
  for (const Target& target : kTargets)
    replay(target, fs::path(QCONV_TEST_DATA) / "../fuzz/crashers" / target.name);
}

TEST(FuzzTargets, TakeEveryPrefixOfTheirCorpus) {
  for (const Target& target : kTargets) {
    for (const auto& file :
         fs::directory_iterator(fs::path(QCONV_TEST_DATA) / "../fuzz/corpus" / target.name)) {
      std::ifstream in(file.path(), std::ios::binary);
      const std::vector<std::uint8_t> bytes(std::istreambuf_iterator<char>(in), {});
      for (std::size_t size = 0; size < bytes.size(); ++size) {
        // Memory of exactly that size, so that a sanitizer sees a read past the end.
        const std::vector<std::uint8_t> prefix(bytes.begin(),
                                               bytes.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_EQ(target.entry(prefix.data(), prefix.size()), 0);
      }
    }
  }
}

}  // namespace

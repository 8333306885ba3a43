#include "io/atomic_file.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/io_test_util.hpp"

namespace qconv {
namespace {

using namespace testing_io;
using testing::HasSubstr;

void put(const fs::path& path, const std::string& text) { save_bytes(bytes_of(text), path); }

TEST(AtomicFile, ReplacesTheOldFileOnlyOnCommit) {
  const ScratchFolder folder;
  const fs::path path = folder / "f";
  put(path, "old");
  {
    AtomicFile file(path);
    file.write("new");
    EXPECT_EQ(read_text(path), "old");
    EXPECT_EQ(folder.count(), 2u);
  }
  EXPECT_EQ(read_text(path), "old");
  EXPECT_EQ(folder.count(), 1u);
  AtomicFile file(path);
  file.write("new");
  file.commit();
  EXPECT_EQ(read_text(path), "new");
  EXPECT_EQ(folder.count(), 1u);
}

TEST(AtomicFile, KeepsTheModeAndFollowsLinks) {
  const ScratchFolder folder;
  put(folder / "f", "old");
  ASSERT_EQ(chmod((folder / "f").c_str(), 0640), 0);
  fs::create_symlink("f", folder / "link");
  put(folder / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(read_text(folder / "f"), "new");
  struct stat status {};
  ASSERT_EQ(stat((folder / "f").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0640u);
}

TEST(AtomicFile, RefusesWhatIsNoFile) {
  const ScratchFolder folder;
  EXPECT_THAT(file_error([] { put("/dev/full", "x"); }),
              HasSubstr("/dev/full: cannot write: not a regular file"));
  EXPECT_THAT(file_error([&] { put(folder.path(), "x"); }), HasSubstr("not a regular file"));
  EXPECT_THAT(file_error([&] { put(folder / "no/such/f", "x"); }),
              HasSubstr("cannot write: No such file or directory"));
  EXPECT_THAT(file_error([] { put("", "x"); }), HasSubstr("cannot write"));
  EXPECT_EQ(folder.count(), 0u);
}

TEST(AtomicFile, WorksWithABareNameInTheCurrentFolder) {
  const ScratchFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  put("f", "text");
  fs::current_path(before);
  EXPECT_EQ(read_text(folder / "f"), "text");
}

// Runs `body` in another process and returns how it ended, as waitpid says.
template <class Body>
int in_child(const Body& body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(99);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

StateDict large_state() {
  StateDict state;
  state.set("w", Tensor::zeros({1 << 20}, float32));
  return state;
}

TEST(AtomicSave, AFullDiskLeavesTheOldFileAndNothingElse) {
  const ScratchFolder folder;
  const fs::path path = folder / "m.safetensors";
  put(path, "old");
  const StateDict state = large_state();
  const NamedTensors arrays{{"w", *state.find("w")}};
  const std::vector<std::byte> block(1 << 20);
  const std::vector<std::function<void()>> saves{
      [&] { save_safetensors(state, path); }, [&] { save_npy(*state.find("w"), path); },
      [&] { save_npz(arrays, path); }, [&] { save_bytes(block, path); }};
  for (std::size_t i = 0; i < saves.size(); ++i) {
    const int status = in_child([&] {
      // Past this size a write fails, as it does on a full disk.
      const rlimit limit{16384, 16384};
      setrlimit(RLIMIT_FSIZE, &limit);
      signal(SIGXFSZ, SIG_IGN);
      try {
        saves[i]();
      } catch (const FileError& error) {
        _exit(std::string(error.what()).find("cannot write: File too large") != std::string::npos ? 0 : 1);
      }
      _exit(2);
    });
    EXPECT_EQ(status, 0) << "save " << i;
    EXPECT_TRUE(read_text(path) == "old") << "save " << i;
    EXPECT_EQ(folder.count(), 1u) << "save " << i;
  }
}

TEST(AtomicSave, AKilledWriterLeavesTheOldFileWhole) {
  const ScratchFolder folder;
  const fs::path path = folder / "m.safetensors";
  StateDict old;
  old.set("x", ramp<float>({10}));
  save_safetensors(old, path);
  for (int round = 0; round < 5; ++round) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
      // Half a file, then a word to the parent, then more until the end comes.
      AtomicFile file(path);
      const std::vector<std::byte> block(1 << 16);
      file.write(block);
      [[maybe_unused]] const ssize_t told = write(ready[1], "x", 1);
      for (int i = 0; i < 1000; ++i) file.write(block);
      pause();
    }
    char word = 0;
    ASSERT_EQ(read(ready[0], &word, 1), 1);
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
    close(ready[0]);
    close(ready[1]);
    EXPECT_TRUE(equal(*load_safetensors(path).find("x"), ramp<float>({10})));
  }
  // And the name can be saved to again.
  save_safetensors(large_state(), path);
  EXPECT_NE(load_safetensors(path).find("w"), nullptr);
}

TEST(AtomicSave, AWriterKilledAnywhereLeavesOneWholeFile) {
  const ScratchFolder folder;
  const fs::path path = folder / "m.safetensors";
  const StateDict state = large_state();
  save_safetensors(state, path);
  for (int round = 0; round < 10; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      for (;;) save_safetensors(state, path);
    }
    usleep(static_cast<useconds_t>(1000 + 1500 * round));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    EXPECT_EQ(load_safetensors(path).find("w")->numel(), 1 << 20);
  }
}

}  // namespace
}  // namespace qconv

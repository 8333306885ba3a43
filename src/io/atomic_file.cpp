#include "io/atomic_file.hpp"

#include <atomic>
#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io_error.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

namespace fs = std::filesystem;

// The file that a save to `path` must replace: behind symbolic links, which stay as they are.
fs::path resolve(const fs::path& path, const std::string& name) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status)) {
    check<FileError>(fs::is_regular_file(status), "{}: cannot write: not a regular file", name);
    fs::path real = fs::canonical(path, error);
    check<FileError>(!error, "{}: cannot write: {}", name, error.message());
    return real;
  }
  check<FileError>(status.type() == fs::file_type::not_found, "{}: cannot write: {}", name, error.message());
  check<FileError>(path.has_filename(), "{}: cannot write: no file name given", name);
  return path;
}

}  // namespace

void AtomicFile::fail(const char* what, int error) const {
  throw FileError(fmt::format("{}: {}: {}", name_, what, errno_text(error)));
}

AtomicFile::AtomicFile(const fs::path& path) : name_(path.string()), target_(resolve(path, name_)) {
  static std::atomic<unsigned> counter{0};
  do {
    temporary_ = target_.parent_path() /
                 fmt::format(".{}.{}-{}.tmp", target_.filename().string(), ::getpid(), counter++);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd_ < 0 && errno == EEXIST);
  if (fd_ < 0) fail("cannot write", errno);
  // The new file gets the mode of the one that it replaces.
  struct stat old {};
  if (::stat(target_.c_str(), &old) == 0) ::fchmod(fd_, old.st_mode & 07777);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) {
    ::close(fd_);
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) fail("cannot write", errno);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot replace", errno);
  ::close(fd_);
  fd_ = -1;
  // The rename itself reaches the disk with the folder; where folders cannot be synced, it does so later.
  const fs::path folder = target_.has_parent_path() ? target_.parent_path() : fs::path(".");
  const int folder_fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd >= 0) {
    ::fsync(folder_fd);
    ::close(folder_fd);
  }
}

void save_bytes(std::span<const std::byte> bytes, const fs::path& path) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace qconv

#include "io/byte_source.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io_error.hpp"
#include "support/check.hpp"

namespace qconv {

void ByteSource::read(std::uint64_t offset, std::span<std::byte> target) const {
  check<FileError>(offset <= size_ && target.size() <= size_ - offset,
                   "{}: {} bytes are needed at {} but the file has {}; it is truncated", name_, target.size(),
                   offset, size_);
  read_inside(offset, target);
}

MemorySource::MemorySource(std::span<const std::byte> bytes, std::string_view name)
    : ByteSource(std::string(name)), bytes_(bytes) {
  set_size(bytes.size());
}

void MemorySource::read_inside(std::uint64_t offset, std::span<std::byte> target) const {
  if (!target.empty()) std::memcpy(target.data(), bytes_.data() + offset, target.size());
}

FileSource::FileSource(const std::filesystem::path& path) : ByteSource(path.string()) {
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not block the open
  check<FileError>(fd_ >= 0, "{}: cannot open: {}", name(), errno_text(errno));
  struct stat status {};
  const bool regular = ::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode);
  if (!regular) {
    ::close(fd_);
    throw FileError(fmt::format("{}: not a regular file", name()));
  }
  set_size(static_cast<std::uint64_t>(status.st_size));
}

FileSource::~FileSource() { ::close(fd_); }

void FileSource::read_inside(std::uint64_t offset, std::span<std::byte> target) const {
  std::size_t done = 0;
  while (done < target.size()) {
    const ssize_t n =
        ::pread(fd_, target.data() + done, target.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    check<FileError>(n >= 0, "{}: cannot read: {}", name(), errno_text(errno));
    check<FileError>(n > 0, "{}: the file became shorter while it was read", name());
    done += static_cast<std::size_t>(n);
  }
}

}  // namespace qconv

#include "cli/progress.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <fmt/format.h>
#include <unistd.h>

namespace qconv::cli {
namespace {

bool draws_on_terminal() {
  const char* term = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && (term == nullptr || std::string_view(term) != "dumb");
}

}  // namespace

Progress::Progress(std::string what, std::size_t total, bool shown)
    : what_(std::move(what)),
      total_(std::max<std::size_t>(total, 1)),
      terminal_(shown && draws_on_terminal()) {
  draw();
}

void Progress::set(std::size_t done) {
  done_ = std::min(done, total_);
  if (terminal_ && Clock::now() - last_ >= std::chrono::milliseconds(100)) draw();
}

void Progress::rename(std::string what) {
  what_ = std::move(what);
  draw();
}

void Progress::clear() {
  if (!drawn_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

void Progress::draw() {
  if (!terminal_) return;
  constexpr std::size_t kWidth = 24;
  const std::size_t full = done_ * kWidth / total_;
  std::string bar(full, '=');
  if (full < kWidth) bar += '>';
  std::string line = fmt::format("{}  [{:<{}}]  {}/{}", what_, bar, kWidth, done_, total_);
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  if (done_ > 0 && seconds > 0) {
    const double rate = static_cast<double>(done_) / seconds;
    const auto left = std::lround(static_cast<double>(total_ - done_) / rate);
    line += fmt::format("  {:.1f}/s  {}:{:02} left", rate, left / 60, left % 60);
  }
  fmt::print(stderr, "\r{}\033[K", line);
  std::fflush(stderr);
  drawn_ = true;
  last_ = Clock::now();
}

}  // namespace qconv::cli

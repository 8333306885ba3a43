#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace qconv::cli {

/// A bar on standard error with the rate and the time left, redrawn at most ten times a second:
///
///     calibrating  [==========>         ]  83/160  41.2/s  0:02 left
///
/// Shows nothing when standard error is not a terminal. Disappears when it is destroyed.
class Progress {
 public:
  /// With `shown` false it shows nothing: of several processes one draws.
  Progress(std::string what, std::size_t total, bool shown = true);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// One more of `total` is done.
  void step() { set(done_ + 1); }
  void set(std::size_t done);
  /// Replaces the text in front of the bar, at once.
  void rename(std::string what);
  /// Erases the bar, so that something else can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void draw();

  std::string what_;
  std::size_t total_;
  std::size_t done_ = 0;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_{};
};

}  // namespace qconv::cli

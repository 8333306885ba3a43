#include "cli/timing.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>

namespace qconv::cli {
namespace {

constexpr int kRepeats = 5;
constexpr double kRepeatSeconds = 0.05;
constexpr double kHopelessSeconds = 0.5;

double time_loop(const std::function<void()>& call, std::int64_t count) {
  return seconds_of([&] {
    for (std::int64_t i = 0; i < count; ++i) call();
  });
}

// How many calls fill one repeat, with 5% to spare because the processor may yet speed up.
std::int64_t calls_per_repeat(const std::function<void()>& call) {
  std::int64_t count = 1;
  double seconds = time_loop(call, count);
  while (seconds < kRepeatSeconds / 2 && count < (std::int64_t{1} << 24)) {
    count *= 2;
    seconds = time_loop(call, count);
  }
  return std::max<std::int64_t>(
      1, std::llround(std::ceil(static_cast<double>(count) * 1.05 * kRepeatSeconds / seconds)));
}

}  // namespace

double seconds_of(const std::function<void()>& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Timing time_calls(const std::function<void()>& call) {
  const double first = seconds_of(call);
  if (first > kHopelessSeconds) {
    // Once more only when the first was slow because it was the first.
    const double again = first > 4 * kHopelessSeconds ? first : seconds_of(call);
    if (again > kHopelessSeconds) return {again * 1e6, again * 1e6};
  }
  const std::int64_t count = calls_per_repeat(call);
  std::vector<double> means;
  for (int r = 0; r < kRepeats; ++r) {
    double seconds = time_loop(call, count);
    std::int64_t calls = count;
    while (seconds < kRepeatSeconds) {  // faster than it was when it was counted
      seconds += time_loop(call, 1 + count / 16);
      calls += 1 + count / 16;
    }
    means.push_back(seconds * 1e6 / static_cast<double>(calls));
  }
  const double lowest = *std::min_element(means.begin(), means.end());
  return {median(std::move(means)), lowest};
}

}  // namespace qconv::cli

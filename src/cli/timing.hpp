#pragma once

#include <functional>
#include <vector>

namespace qconv::cli {

/// Mean microseconds per call of several repeats: their median and their minimum.
struct Timing {
  double median_us;
  double min_us;
};

/// Runs `call` once to warm up, then in 5 loops of at least 50 ms each, and takes the mean of every loop. A
/// call that takes more than half a second is timed once.
Timing time_calls(const std::function<void()>& call);

/// Seconds that one call takes.
double seconds_of(const std::function<void()>& call);

/// The middle value; `values` is not empty.
double median(std::vector<double> values);

}  // namespace qconv::cli

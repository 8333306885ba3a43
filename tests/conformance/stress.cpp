// stress [COUNT [FIRST]]: the conformance test at length: compares COUNT random problems (100,000) with the
// reference, from number FIRST (0) on. A number always means the same problem.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "support/conformance.hpp"

namespace {

using namespace qconv;

thread_local long current = -1;

// A kernel that leaves its buffers faults: says in which problem.
void report_fault(int signal) {
  char text[64];
  const auto end = fmt::format_to_n(text, sizeof(text), "\nsignal {} in problem {}\n", signal, current);
  [[maybe_unused]] const auto written = write(STDERR_FILENO, text, end.size);
  std::_Exit(1);
}

// What random problems seldom are, but has kernels of its own.
void specialize(std::mt19937_64& random, ConvProblem& p) {
  ConvGeometry& g = p.geometry;
  const auto below = [&](std::uint64_t end) { return static_cast<std::int64_t>(random() % end); };
  switch (below(8)) {
    case 0:  // depthwise
      g.groups = g.in_channels = g.out_channels = 2 + below(130);
      p.weight_zero_points = false;
      break;
    case 1:  // depthwise, with lines of several stretches
      g.groups = g.in_channels = g.out_channels = 2 + below(70);
      p.weight_zero_points = false;
      if (below(2) == 0) {  // and those whose columns stay in registers
        g.kernel = {1, 1 + below(4), 3};
        g.stride = {1, 1 + below(2), 1 + below(2)};
        g.dilation = {1, 1, 1};
      }
      p.input = {1, 1 + below(9), 1 + below(160)};
      g.ndim = 2;
      g.kernel[0] = g.stride[0] = g.dilation[0] = 1;
      g.padding_begin[0] = g.padding_end[0] = g.output_padding[0] = 0;
      break;
    case 2:  // narrow groups
      g.in_channels = g.out_channels = g.groups * (std::int64_t{1} << below(5));
      p.weight_zero_points = false;
      break;
    case 3:  // Winograd
      if (g.ndim == 1) break;
      g.transposed = false;
      g.output_padding = {0, 0, 0};
      g.in_channels /= g.groups;
      g.out_channels /= g.groups;
      g.groups = 1;
      g.kernel[1] = g.kernel[2] = 3;
      g.stride[1] = g.stride[2] = 1;
      break;
    case 4:  // pointwise
      g.kernel = g.stride = {1, 1, 1};
      g.padding_begin = g.padding_end = g.output_padding = {0, 0, 0};
      break;
    default:
      break;
  }
}

testing::ConvCase draw(long number) {
  std::mt19937_64 random(static_cast<std::uint64_t>(number) + 20261124);
  for (;;) {
    ConvProblem p = testing::random_problem(random);
    specialize(random, p);
    if (testing::suits_test(p)) return make_case(p, random(), static_cast<testing::Data>(number % 3));
  }
}

class Stress {
 public:
  Stress(long first, long count) : first_(first), count_(count) {}

  int run() {
    {
      std::vector<std::jthread> workers;
      for (unsigned t = 0; t < std::max(1U, std::thread::hardware_concurrency()); ++t)
        workers.emplace_back([this] { work(); });
      if (isatty(STDERR_FILENO) != 0) show_progress();
    }
    for (const auto& [kernel, times] : kernels_) fmt::print("{:>8}  {}\n", times, kernel);
    fmt::print("{} problems of {} operators in {:.0f} s: {}\n", count_, operators_.size(), seconds(),
               failures_ == 0 ? "no byte differs" : fmt::format("{} DIFFER", failures_.load()));
    return failures_ == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  }

 private:
  void work() {
    for (long i = next_++; i < count_; i = next_++) {
      current = first_ + i;
      const testing::ConvCase c = draw(current);
      const testing::Conformance result = testing::compare_with_reference(c);
      const std::scoped_lock lock(mutex_);
      ++operators_[c.problem.geometry.name()];
      for (const std::string& kernel : result.kernels) ++kernels_[kernel];
      if (!result.difference.empty()) {
        ++failures_;
        fmt::print(stderr, "\nproblem {}: {}: {}\n", current, c.problem.to_string(), result.difference);
      }
      ++done_;
    }
  }

  void show_progress() const {
    while (done_ < count_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
      fmt::print(stderr, "\r{} of {} problems, {:.0f} s", done_.load(), count_, seconds());
    }
    fmt::print(stderr, "\n");
  }

  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  long first_;
  long count_;
  std::atomic<long> next_{0};
  std::atomic<long> done_{0};
  std::atomic<long> failures_{0};
  std::mutex mutex_;
  std::map<std::string, long> kernels_;
  std::map<std::string, long> operators_;
};

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGSEGV, report_fault);
  std::signal(SIGBUS, report_fault);
  std::signal(SIGFPE, report_fault);
  const long count = argc > 1 ? std::atol(argv[1]) : 100'000;
  return Stress(argc > 2 ? std::atol(argv[2]) : 0, count).run();
}

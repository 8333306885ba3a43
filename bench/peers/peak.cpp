// What this processor can reach at most: multiply-adds of 8-bit integers with everything in registers, and
// bytes read per second from each level of the memory.
//
//   peak THREADS ISA        (ISA: amx, avx512vnni or avx2)
//
// Prints "NAME VALUE" lines: gops (2 operations per multiply-add), then gigabytes per second by all threads
// together. Of avx2, whose dot product of bytes takes three instructions: vpmaddubsw, vpmaddwd, vpaddd.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

// Twelve accumulators hide the latency of two instructions a cycle. Registers 0 to 15 alone, so that no
// compiler flag is needed; clobbering xmm means the whole register.
#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define ALL_REGISTERS                                                                                        \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
      "xmm13", "xmm14", "xmm15"

constexpr double kAvx512MultiplyAdds = 12 * 64;
void avx512_dot_products(std::int64_t times) {
#define DOT(i) "vpdpbusd %%zmm14, %%zmm15, %%zmm" #i "\n\t"
  for (std::int64_t i = 0; i < times; ++i) asm volatile(TWELVE(DOT)::: ALL_REGISTERS);
#undef DOT
}

constexpr double kAvx2MultiplyAdds = 12 * 32;
void avx2_dot_products(std::int64_t times) {
#define DOT(i)                               \
  "vpmaddubsw %%ymm14, %%ymm15, %%ymm12\n\t" \
  "vpmaddwd %%ymm13, %%ymm12, %%ymm12\n\t"   \
  "vpaddd %%ymm12, %%ymm" #i ", %%ymm" #i "\n\t"
  for (std::int64_t i = 0; i < times; ++i) asm volatile(TWELVE(DOT)::: ALL_REGISTERS);
#undef DOT
}

// AMX: four products of 16 x 64 by 64 x 16 bytes at a time, on a processor that lets this process use it.
constexpr double kAmxMultiplyAdds = 4 * 16 * 16 * 64;
void amx_dot_products(std::int64_t times) {
  struct alignas(64) Shapes {
    std::uint8_t palette = 1;
    std::uint8_t unused[15] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  const Shapes shapes;
  asm volatile("ldtilecfg %0" : : "m"(shapes));
  for (std::int64_t i = 0; i < times; ++i) {
    asm volatile(
        "tdpbusd %%tmm6, %%tmm4, %%tmm0\n\ttdpbusd %%tmm7, %%tmm4, %%tmm1\n\t"
        "tdpbusd %%tmm6, %%tmm5, %%tmm2\n\ttdpbusd %%tmm7, %%tmm5, %%tmm3" ::);
  }
  asm volatile("tilerelease" ::);
}

bool may_use_amx() {
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

struct Products {
  const char* isa;
  bool (*supported)();
  void (*run)(std::int64_t times);
  double multiply_adds;  // each time
  std::int64_t times;
};
constexpr Products kProducts[]{
    {"amx", may_use_amx, amx_dot_products, kAmxMultiplyAdds, 2'000'000},
    {"avx512vnni", [] { return __builtin_cpu_supports("avx512vnni") != 0; }, avx512_dot_products,
     kAvx512MultiplyAdds, 20'000'000},
    {"avx2", [] { return __builtin_cpu_supports("avx2") != 0; }, avx2_dot_products, kAvx2MultiplyAdds,
     20'000'000},
};

constexpr std::size_t kBytesPerRead = 256;
void avx512_read(const std::uint8_t* bytes, std::size_t count) {
  for (const std::uint8_t* at = bytes; at < bytes + count; at += kBytesPerRead) {
    asm volatile(
        "vmovdqu64 (%0), %%zmm0\n\tvmovdqu64 64(%0), %%zmm1\n\t"
        "vmovdqu64 128(%0), %%zmm2\n\tvmovdqu64 192(%0), %%zmm3\n\t" ::"r"(at)
        : ALL_REGISTERS, "memory");
  }
}

void avx2_read(const std::uint8_t* bytes, std::size_t count) {
  for (const std::uint8_t* at = bytes; at < bytes + count; at += kBytesPerRead) {
    asm volatile(
        "vmovdqu (%0), %%ymm0\n\tvmovdqu 32(%0), %%ymm1\n\tvmovdqu 64(%0), %%ymm2\n\tvmovdqu 96(%0), "
        "%%ymm3\n\t"
        "vmovdqu 128(%0), %%ymm0\n\tvmovdqu 160(%0), %%ymm1\n\t"
        "vmovdqu 192(%0), %%ymm2\n\tvmovdqu 224(%0), %%ymm3\n\t" ::"r"(at)
        : ALL_REGISTERS, "memory");
  }
}

// Keeps the calling thread on one of the processors that this process may use, a different one for each
// number.
void stay_on_processor(int number) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (int processor = 0, seen = 0; processor < CPU_SETSIZE; ++processor) {
    if (!CPU_ISSET(processor, &allowed) || seen++ != number % CPU_COUNT(&allowed)) continue;
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(processor, &only);
    pthread_setaffinity_np(pthread_self(), sizeof only, &only);
    return;
  }
}

// The seconds from the first thread's start to the last one's end, the best of several tries. Every thread
// calls work(its number) once before.
double seconds_of(int threads, const std::function<void(int)>& work) {
  using Clock = std::chrono::steady_clock;
  double best = 1e30;
  for (int repeat = 0; repeat < 5; ++repeat) {
    std::atomic<int> ready{0};
    std::vector<Clock::time_point> starts(static_cast<std::size_t>(threads));
    std::vector<Clock::time_point> ends(starts.size());
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t) {
      running.emplace_back([&, t] {
        if (threads > 1) stay_on_processor(t);
        work(t);
        ++ready;
        while (ready < threads) {
        }
        starts[static_cast<std::size_t>(t)] = Clock::now();
        work(t);
        ends[static_cast<std::size_t>(t)] = Clock::now();
      });
    }
    for (std::thread& thread : running) thread.join();
    const auto span =
        *std::max_element(ends.begin(), ends.end()) - *std::min_element(starts.begin(), starts.end());
    best = std::min(best, std::chrono::duration<double>(span).count());
  }
  return best;
}

// Gigabytes per second when every thread reads a buffer of its own of that size again and again.
double read_rate(int threads, std::size_t bytes, bool avx512) {
  constexpr double kBytesInAll = 4e9;
  struct alignas(64) CacheLine {
    std::uint8_t bytes[64];
  };
  std::vector<std::vector<CacheLine>> buffers(static_cast<std::size_t>(threads));
  for (auto& buffer : buffers) buffer.resize(bytes / sizeof(CacheLine));
  const int times = std::max(1, static_cast<int>(kBytesInAll / static_cast<double>(bytes)));
  const double seconds = seconds_of(threads, [&](int thread) {
    const std::uint8_t* buffer = buffers[static_cast<std::size_t>(thread)].data()->bytes;
    for (int i = 0; i < times; ++i) avx512 ? avx512_read(buffer, bytes) : avx2_read(buffer, bytes);
  });
  return static_cast<double>(bytes) * times * threads / seconds * 1e-9;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc == 3 ? std::atoi(argv[1]) : 0;
  const std::string isa = argc == 3 ? argv[2] : "";
  const auto* products = std::find_if(std::begin(kProducts), std::end(kProducts),
                                      [&](const Products& p) { return isa == p.isa; });
  if (threads < 1 || products == std::end(kProducts)) {
    std::fprintf(stderr, "usage: peak THREADS amx|avx512vnni|avx2\n");
    return 2;
  }
  if (!products->supported()) {
    std::fprintf(stderr, "peak: this processor has no %s\n", isa.c_str());
    return 1;
  }
  const double seconds = seconds_of(threads, [&](int) { products->run(products->times); });
  const double multiply_adds = products->multiply_adds * static_cast<double>(products->times);
  const bool avx512 = isa != "avx2";
  std::printf("gops %.1f\n", 2 * multiply_adds * threads / seconds * 1e-9);
  std::printf("l1_gbs %.1f\n", read_rate(threads, std::size_t{16} << 10, avx512));
  std::printf("l2_gbs %.1f\n", read_rate(threads, std::size_t{512} << 10, avx512));
  std::printf("memory_gbs %.1f\n", read_rate(threads, std::size_t{256} << 20, avx512));
  return 0;
}

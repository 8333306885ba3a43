#pragma once

/// The few entry points of GCC's OpenMP runtime, which libdnnl computes on, that we need. Declared here, not
/// included from <omp.h>, and called without -fopenmp, because those belong to the compiler, and another
/// compiler comes with another runtime, whose threads would not be the same ones.
extern "C" {
void omp_set_num_threads(int count);
int omp_get_max_threads(void);
/// Runs body(context) on `threads` threads, the caller's among them; libgomp's ABI for `parallel`.
void GOMP_parallel(void (*body)(void*), void* context, unsigned threads, unsigned flags);
}

#ifndef QCONV_QCONV_H
#define QCONV_QCONV_H

/* Networks from C, and from every language that calls C: load a file, run it. All of qconv is in qconv.hpp. */

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define QCONV_C_API
#else
#define QCONV_C_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0". */
QCONV_C_API const char* qconv_version(void);

/* What went wrong in the last call of this thread that failed: one line, valid until the next one fails. */
QCONV_C_API const char* qconv_last_error(void);

/* Threads that run networks from now on in this process. Returns 0, or -1 below 1. */
QCONV_C_API int qconv_set_num_threads(int count);

#define QCONV_MAX_RANK 5

/* A float32 tensor, row major. */
typedef struct qconv_tensor {
  float* data;
  int rank;
  int64_t sizes[QCONV_MAX_RANK];
} qconv_tensor;

/* Frees the data of a tensor that qconv_network_run made, and forgets it. */
QCONV_C_API void qconv_tensor_free(qconv_tensor* tensor);

/* A network, ready to run. Immutable: any number of threads may run one at once. */
typedef struct qconv_network qconv_network;

/* Loads an ONNX file, float or quantized. Null when that fails. */
QCONV_C_API qconv_network* qconv_network_load(const char* path);
/* Null is allowed. */
QCONV_C_API void qconv_network_free(qconv_network* network);

QCONV_C_API size_t qconv_network_num_inputs(const qconv_network* network);
QCONV_C_API size_t qconv_network_num_outputs(const qconv_network* network);
/* The name of an input or output; null when there is no such one. Valid as long as the network. */
QCONV_C_API const char* qconv_network_input_name(const qconv_network* network, size_t index);
QCONV_C_API const char* qconv_network_output_name(const qconv_network* network, size_t index);
/* Writes the sizes that input `index` must have, -1 for one that every run may choose, and returns how many there
   are; -1 when they are not known or there is no such input. */
QCONV_C_API int qconv_network_input_sizes(const qconv_network* network, size_t index,
                                          int64_t sizes[QCONV_MAX_RANK]);
/* 1 when a layer computes with integers, else 0. */
QCONV_C_API int qconv_network_is_quantized(const qconv_network* network);

/* Runs the network on `num_inputs` tensors, in the order of its inputs, which it only reads; fills in `num_outputs`
   tensors, in the order of its outputs, whose data the caller frees with qconv_tensor_free. Returns 0, or -1 when it
   fails, and has made nothing then. */
QCONV_C_API int qconv_network_run(const qconv_network* network, const qconv_tensor* inputs, size_t num_inputs,
                                  qconv_tensor* outputs, size_t num_outputs);

#ifdef __cplusplus
}
#endif

#endif

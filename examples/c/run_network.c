/* Loads a network and runs it on zeros, with sizes of 1 where a run may choose: run_network MODEL.onnx */
#include <stdio.h>
#include <stdlib.h>

#include <qconv/qconv.h>

int main(int argc, char** argv) {
  qconv_network* network = argc == 2 ? qconv_network_load(argv[1]) : NULL;
  if (network == NULL) {
    fprintf(stderr, "%s\n", argc == 2 ? qconv_last_error() : "usage: run_network MODEL.onnx");
    return 1;
  }
  qconv_tensor input = {NULL, 0, {0}};
  qconv_tensor output = {NULL, 0, {0}};
  size_t count = 1;
  input.rank = qconv_network_input_sizes(network, 0, input.sizes);
  for (int d = 0; d < input.rank; ++d) {
    if (input.sizes[d] < 0) input.sizes[d] = 1;
    count *= (size_t)input.sizes[d];
  }
  input.data = calloc(count, sizeof(float));
  const int failed = qconv_network_run(network, &input, 1, &output, 1);
  if (failed) {
    fprintf(stderr, "%s\n", qconv_last_error());
  } else {
    printf("%s:", qconv_network_output_name(network, 0));
    for (int d = 0; d < output.rank; ++d) printf(" %lld", (long long)output.sizes[d]);
    printf(", first value %g\n", output.data[0]);
  }
  qconv_tensor_free(&output);
  free(input.data);
  qconv_network_free(network);
  return failed ? 1 : 0;
}

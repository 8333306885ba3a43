#pragma once

// The generated header of ONNX's protobuf messages; only the ONNX sources include this.
#ifndef ONNX_ML
#define ONNX_ML 1
#endif
#include <onnx/onnx_pb.h>

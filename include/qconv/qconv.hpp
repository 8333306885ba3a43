#pragma once

/// Everything.

#include <qconv/conv_problem.hpp>
#include <qconv/cpu.hpp>
#include <qconv/dtype.hpp>
#include <qconv/engine.hpp>
#include <qconv/error.hpp>
#include <qconv/int_list.hpp>
#include <qconv/memory_format.hpp>
#include <qconv/observers.hpp>
#include <qconv/ops.hpp>
#include <qconv/ops_getters.hpp>
#include <qconv/packed_params.hpp>
#include <qconv/qconfig.hpp>
#include <qconv/qparams.hpp>
#include <qconv/quantize.hpp>
#include <qconv/quantize_weight.hpp>
#include <qconv/shape.hpp>
#include <qconv/state_dict.hpp>
#include <qconv/tensor.hpp>
#include <qconv/threads.hpp>
#include <qconv/version.hpp>

#include "io/torch_globals.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "io/torch_dtype.hpp"

namespace qconv {
namespace {

constexpr std::string_view kScript = "__torch__.";
constexpr std::string_view kMangle = "___torch_mangle_";

// Classes of these are kept as what the file says of them.
constexpr auto kPrefixes = std::to_array<std::string_view>({
    kScript,
    "torch.ao.nn.",
    "torch.ao.quantization.",
    "torch.nn.functional.",
    "torch.nn.intrinsic.",
    "torch.nn.modules.",
    "torch.nn.parallel.",
    "torch.nn.qat.",
    "torch.nn.quantizable.",
    "torch.nn.quantized.",
    "torch.quantization.",
});

// These occur by themselves; storage classes and dtypes are in torch_dtype.hpp.
constexpr auto kNames = std::to_array<std::string_view>({
    "__builtin__.bytearray",
    "__builtin__.complex",
    "__builtin__.dict",
    "__builtin__.frozenset",
    "__builtin__.list",
    "__builtin__.set",
    "_codecs.encode",
    "builtins.bytearray",
    "builtins.complex",
    "builtins.dict",
    "builtins.frozenset",
    "builtins.list",
    "builtins.set",
    "collections.Counter",
    "collections.OrderedDict",
    "collections.defaultdict",
    "functools.partial",
    "torch.ScriptObject",
    "torch.Size",
    "torch.Tensor",
    "torch._C.ScriptObject",
    "torch._tensor._rebuild_from_type_v2",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch.device",
    "torch.fx.graph_module.reduce_graph_module",
    "torch.jit._pickle.build_boollist",
    "torch.jit._pickle.build_doublelist",
    "torch.jit._pickle.build_intlist",
    "torch.jit._pickle.build_tensorlist",
    "torch.jit._pickle.restore_type_tag",
    "torch.nn.parameter.Buffer",
    "torch.nn.parameter.Parameter",
    "torch.per_channel_affine",
    "torch.per_channel_affine_float_qparams",
    "torch.per_channel_symmetric",
    "torch.per_tensor_affine",
    "torch.per_tensor_symmetric",
    "torch.serialization._get_layout",
});

bool is_identifier_path(std::string_view name) {
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '.'; });
}

}  // namespace

bool is_allowed_global(std::string_view name, const std::vector<std::string>& safe_globals) {
  if (std::find(safe_globals.begin(), safe_globals.end(), name) != safe_globals.end()) return true;
  if (!is_identifier_path(name)) return false;
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end() || find_torch_dtype(name) != nullptr ||
         is_torch_storage_name(name) ||
         std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

std::string demangled(std::string_view name) {
  if (!name.starts_with(kScript)) return std::string(name);
  name.remove_prefix(kScript.size());
  std::string result;
  while (!name.empty()) {
    const std::size_t end = std::min(name.find('.'), name.size());
    const std::string_view part = name.substr(0, end);
    if (!part.starts_with(kMangle)) {
      if (!result.empty()) result += '.';
      result += part;
    }
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  return result;
}

}  // namespace qconv

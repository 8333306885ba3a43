#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qconv {

/// Whether a PyTorch file may name that class or function: PyTorch's modules, containers and tensors, what
/// TorchScript files define themselves, and `safe_globals`. None of them is ever run.
bool is_allowed_global(std::string_view name, const std::vector<std::string>& safe_globals);

/// The Python class behind a TorchScript one: "__torch__.torch.nn.modules.conv.___torch_mangle_3.Conv2d" is
/// "torch.nn.modules.conv.Conv2d". Other names stay as they are.
std::string demangled(std::string_view name);

}  // namespace qconv

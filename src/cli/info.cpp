#include <algorithm>
#include <memory>
#include <span>

#include <cpuinfo.h>
#include <fmt/ranges.h>

#include <qconv/cpu.hpp>
#include <qconv/engine.hpp>
#include <qconv/float_convolution.hpp>
#include <qconv/threads.hpp>
#include <qconv/version.hpp>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/runtime_options.hpp"
#include "engines/native/kernels/depthwise/registry.hpp"
#include "engines/native/kernels/igemm/registry.hpp"
#include "engines/native/kernels/winograd/registry.hpp"

namespace qconv::cli {
namespace {

struct Options {
  RuntimeOptions runtime;
  bool json = false;
};

Json instruction_sets() {
  Json sets = Json::array();
  const std::vector<Isa> built = list_isas();
  for (const Isa isa : {Isa::amx, Isa::avx512vnni, Isa::avx2, Isa::neondot, Isa::scalar}) {
    const bool is_built = std::find(built.begin(), built.end(), isa) != built.end();
    sets.push_back({{"name", to_string(isa)},
                    {"built", is_built},
                    {"supported", is_built && supported(isa)},
                    {"active", isa == active_isa()}});
  }
  return sets;
}

template <class Kernel>
void add_kernels(Json& list, std::span<const Kernel> kernels) {
  for (const Kernel& kernel : kernels) {
    list.push_back({{"name", kernel.name},
                    {"isa", to_string(kernel.isa)},
                    {"supported", supported(kernel.isa)},
                    {"active", kernel.isa == active_isa()}});
  }
}

Json kernel_table() {
  Json list = Json::array();
  add_kernels(list, engines::igemm::kernels());
  add_kernels(list, engines::depthwise::kernels());
  add_kernels(list, engines::winograd::kernels());
  return list;
}

Json processor() {
  Json result{{"name", nullptr}, {"cores", nullptr}, {"caches", Json::object()}};
  if (!cpuinfo_initialize()) return result;
  if (cpuinfo_get_packages_count() > 0) result["name"] = cpuinfo_get_package(0)->name;
  result["cores"] = cpuinfo_get_cores_count();
  const auto add = [&](const char* name, std::uint32_t count, const cpuinfo_cache* caches) {
    if (count > 0) result["caches"][name] = {{"bytes", caches[0].size}, {"count", count}};
  };
  add("L1d", cpuinfo_get_l1d_caches_count(), cpuinfo_get_l1d_caches());
  add("L2", cpuinfo_get_l2_caches_count(), cpuinfo_get_l2_caches());
  add("L3", cpuinfo_get_l3_caches_count(), cpuinfo_get_l3_caches());
  return result;
}

Json features() {
  return {{"onnx", QCONV_CLI_ONNX != 0},
          {"images", QCONV_CLI_IMAGES != 0},
          {"onednn", QCONV_CLI_ONEDNN != 0},
          {"mpi", QCONV_CLI_MPI != 0}};
}

Json collect() {
  return {{"version", version()},
          {"float_library", float_library()},
          {"engines", list_engines()},
          {"active_engine", active_engine()},
          {"instruction_sets", instruction_sets()},
          {"kernels", kernel_table()},
          {"threads", get_num_threads()},
          {"processor", processor()},
          {"features", features()}};
}

std::string flags_of(const Json& row) {
  if (row["active"]) return "active";
  if (row["supported"]) return "supported";
  return row.value("built", true) ? "not supported by this processor" : "not in this build";
}

std::string engine_line(const Json& all) {
  auto names = all["engines"].get<std::vector<std::string>>();
  for (std::string& name : names) {
    if (name == all["active_engine"]) name += " (active)";
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string cache_line(const Json& caches) {
  std::vector<std::string> parts;
  for (const auto& [name, cache] : caches.items()) {
    parts.push_back(fmt::format("{} {} x {}", name, cache["count"].get<int>(),
                                human_bytes(cache["bytes"].get<double>())));
  }
  return parts.empty() ? "unknown" : fmt::format("{}", fmt::join(parts, ", "));
}

void print_for_people(const Json& all) {
  write_out("qconv {}\n\n", all["version"].get<std::string>());
  const Json& cpu = all["processor"];
  if (cpu["name"].is_string()) {
    write_out("processor  {}, {} cores\n", cpu["name"].get<std::string>(), cpu["cores"].get<int>());
  }
  write_out("caches     {}\n", cache_line(cpu["caches"]));
  write_out("threads    {}\n", all["threads"].get<int>());
  write_out("engines    {}\n", engine_line(all));
  write_out("float      {}\n", all["float_library"].get<std::string>());
  std::vector<std::string> parts;
  for (const auto& [name, there] : all["features"].items()) {
    parts.push_back(fmt::format("{} {}", name, there.get<bool>() ? "yes" : "no"));
  }
  write_out("features   {}\n\n", fmt::join(parts, ", "));
  Table sets({"instruction set", "state"});
  for (const Json& row : all["instruction_sets"]) sets.add({row["name"], flags_of(row)});
  sets.print();
  write_out("\n");
  Table kernels({"kernel", "state"});
  for (const Json& row : all["kernels"]) kernels.add({row["name"], flags_of(row)});
  kernels.print();
}

int run(const Options& options) {
  options.runtime.apply();
  const Json all = collect();
  if (options.json) {
    write_json(all);
  } else {
    print_for_people(all);
  }
  return kOk;
}

}  // namespace

Action add_info(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_flag("--json", options->json, "Print JSON");
  options->runtime.add_to(app);
  app.footer(
      "Examples:\n"
      "  qconv info\n"
      "  qconv info --json\n"
      "  QCONV_ISA=avx2 qconv info");
  return [options] { return run(*options); };
}

}  // namespace qconv::cli

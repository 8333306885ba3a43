#include "io/safetensors_qparams.hpp"

#include <limits>
#include <set>

#include <nlohmann/json.hpp>

#include "io/io_error.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

using nlohmann::json;

// Parses JSON of at most two levels (an object of numbers, texts and lists of them) without repeated keys.
json parse_flat(std::string_view text, std::string_view who) {
  std::set<std::string> keys;
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    const bool opens =
        event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
    check<FileError>(!opens || depth < 2, "{}: is nested too deeply", who);
    if (event == json::parse_event_t::key) {
      const auto [at, is_new] = keys.insert(parsed.get<std::string>());
      check<FileError>(is_new, "{}: has two fields called {}", who, printable(*at));
    }
    return true;
  };
  try {
    return json::parse(text, watch);
  } catch (const json::exception&) {
    throw FileError(fmt::format("{}: is not valid JSON", who));
  }
}

const json& field(const json& object, const char* name, std::string_view who) {
  const auto at = object.find(name);
  check<FileError>(at != object.end(), "{}: has no {}", who, name);
  return *at;
}

std::string text_field(const json& object, const char* name, std::string_view who) {
  const json& value = field(object, name, who);
  check<FileError>(value.is_string(), "{}: {} must be a text", who, name);
  return value.get<std::string>();
}

double scale_of(const json& value, std::string_view who) {
  check<FileError>(value.is_number(), "{}: every scale must be a number", who);
  return value.get<double>();
}

std::int64_t integer_of(const json& value, const char* name, std::string_view who) {
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() ||
                     value.get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<std::int64_t>::max()});
  check<FileError>(fits, "{}: {} must hold integers", who, name);
  return value.get<std::int64_t>();
}

}  // namespace

std::string quantization_text(const Tensor& tensor) {
  const QParams& q = tensor.qparams();
  nlohmann::ordered_json object;
  object["dtype"] = to_string(tensor.dtype());
  object["scheme"] = to_string(q.qscheme());
  if (q.is_per_channel()) {
    object["axis"] = q.axis;
    object["scale"] = q.scales;
    object["zero_point"] = q.zero_points;
  } else {
    object["scale"] = q.scales[0];
    object["zero_point"] = q.zero_points[0];
  }
  return object.dump();
}

std::optional<StoredQuantization> parse_quantization(std::string_view text, std::string_view who) {
  const json object = parse_flat(text, who);
  if (object.is_null()) return std::nullopt;
  check<FileError>(object.is_object(), "{}: must be an object or null", who);

  StoredQuantization result;
  const std::string dtype = text_field(object, "dtype", who);
  const auto known = parse_dtype(dtype);
  check<FileError>(known && is_quantized(*known), "{}: dtype is {}, expected quint8, qint8 or qint32", who,
                   printable(dtype));
  result.dtype = *known;

  const std::string scheme = text_field(object, "scheme", who);
  const json& scale = field(object, "scale", who);
  const json& zero_point = field(object, "zero_point", who);
  if (scheme == to_string(QScheme::per_tensor_affine)) {
    check<FileError>(object.size() == 4, "{}: expected dtype, scheme, scale and zero_point only", who);
    result.qparams = QParams::per_tensor(scale_of(scale, who), integer_of(zero_point, "zero_point", who));
    return result;
  }
  check<FileError>(scheme == to_string(QScheme::per_channel_affine),
                   "{}: scheme is {}, expected per_tensor_affine or per_channel_affine", who,
                   printable(scheme));
  check<FileError>(object.size() == 5, "{}: expected dtype, scheme, axis, scale and zero_point only", who);
  const std::int64_t axis = integer_of(field(object, "axis", who), "axis", who);
  check<FileError>(axis >= 0 && axis < kMaxRank, "{}: axis {} is out of range", who, axis);
  check<FileError>(scale.is_array() && zero_point.is_array(), "{}: scale and zero_point must be lists", who);
  result.qparams = QParams::per_channel({}, {}, static_cast<int>(axis));
  for (const json& value : scale) result.qparams.scales.push_back(scale_of(value, who));
  for (const json& value : zero_point) {
    result.qparams.zero_points.push_back(integer_of(value, "zero_point", who));
  }
  return result;
}

}  // namespace qconv

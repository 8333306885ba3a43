#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qconv {

/// What a pickle's values are here: plain data. Calls and classes stay what the file says of them; nothing is
/// looked up and nothing is run.
enum class PickleKind : std::uint8_t {
  none,
  boolean,
  integer,
  big_integer,  ///< outside int64; no value
  real,
  text,
  bytes,
  tuple,
  list,
  dict,  ///< items: key, value, key, value, ...; OrderedDict too
  set,
  global,  ///< a class or function by its full name, "collections.OrderedDict"
  object,  ///< items: the class (global), the arguments (tuple) and, where there is one, the state
  tensor,  ///< integer: its index, as the host counts
  storage  ///< the same
};

/// A value's place in its Pickle.
using PickleRef = std::uint32_t;

struct PickleValue {
  PickleKind kind = PickleKind::none;
  std::int64_t integer = 0;
  double real = 0;
  std::string_view text = {};  ///< text, bytes and global: in the pickle's own bytes or in Pickle::names
  std::vector<PickleRef> items = {};
};

/// The values of one pickle. They may share parts and contain themselves, so whoever walks them must bound
/// the walk.
struct Pickle {
  std::span<const std::byte> bytes;  ///< outlive the pickle
  std::deque<PickleValue> values;
  std::set<std::string, std::less<>> names;
  PickleRef root = 0;
  std::string who;              ///< for messages: "FILE: entry 'data.pkl'"
  std::size_t most_values = 0;  ///< how many there may be

  /// Throws FileError when there are too many.
  PickleRef add(PickleValue value);
  const PickleValue& operator[](PickleRef ref) const { return values[ref]; }
  const PickleValue& item(const PickleValue& value, std::size_t i) const { return values[value.items[i]]; }
  /// The value of a text key in a dict, or null.
  const PickleValue* find(const PickleValue& dict, std::string_view key) const;
};

/// What the reader of pickles asks its user.
class PickleHost {
 public:
  virtual ~PickleHost() = default;
  /// Is told every class or function that the pickle names; it may throw FileError.
  virtual void see_global(std::string_view name) = 0;
  /// The value for a persistent id: something that lies outside the pickle.
  virtual PickleRef persistent(Pickle& pickle, PickleRef id) = 0;
  /// The value of a call of `function` (global) with `arguments` (tuple).
  virtual PickleRef call(Pickle& pickle, PickleRef function, PickleRef arguments) = 0;
};

/// Reads pickles of protocol 2 to 5, of the operations that PyTorch's files have. Every operation makes at
/// most one value and none copies many from the memo, so memory is proportional to the bytes read. Begins at
/// `pickle.bytes[begin]`, fills `values` and `root`, and returns the position behind the pickle. Throws
/// FileError, in the name of `pickle.who`.
std::size_t read_pickle(Pickle& pickle, PickleHost& host, std::size_t begin = 0);

}  // namespace qconv

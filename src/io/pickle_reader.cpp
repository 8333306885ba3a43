#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "io/io_error.hpp"
#include "io/pickle.hpp"
#include "support/check.hpp"

namespace qconv {
namespace {

constexpr std::size_t kLongestClassName = 200;
constexpr std::size_t kMostNames = 10000;
constexpr PickleRef kUnset = std::numeric_limits<PickleRef>::max();
constexpr std::string_view kOrderedDict = "collections.OrderedDict";
constexpr std::array<std::string_view, 3> kDicts = {kOrderedDict, "collections.Counter",
                                                    "collections.defaultdict"};
constexpr std::array<std::string_view, 4> kSets = {"builtins.set", "__builtin__.set", "builtins.frozenset",
                                                   "__builtin__.frozenset"};

// One run over the operations of a pickle. Python's pickletools documents them.
class Machine {
 public:
  Machine(Pickle& pickle, PickleHost& host, std::size_t begin) : pickle_(pickle), host_(host), at_(begin) {}

  std::size_t run() {
    while (step(static_cast<unsigned char>(take(1)[0]))) {
    }
    return at_;
  }

 private:
  // Reading bytes.
  std::string_view take(std::uint64_t count) {
    check<FileError>(count <= pickle_.bytes.size() - at_, "{}: the pickle ends too early; it is truncated",
                     pickle_.who);
    const std::string_view taken(reinterpret_cast<const char*>(pickle_.bytes.data()) + at_,
                                 static_cast<std::size_t>(count));
    at_ += static_cast<std::size_t>(count);
    return taken;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string_view line() {
    const auto* first = reinterpret_cast<const char*>(pickle_.bytes.data());
    const std::string_view rest(first + at_, pickle_.bytes.size() - at_);
    const std::size_t end = rest.find('\n');
    check<FileError>(end != std::string_view::npos, "{}: the pickle ends too early; it is truncated",
                     pickle_.who);
    at_ += end + 1;
    return rest.substr(0, end);
  }

  // The stack.
  void push(PickleRef ref) { stack_.push_back(ref); }
  void push(PickleValue value) { push(pickle_.add(std::move(value))); }
  void push(PickleKind kind, std::int64_t integer = 0) { push({.kind = kind, .integer = integer}); }
  // The values of operations of one byte that nothing changes: one for all.
  void push_shared(PickleRef& known, PickleKind kind, std::int64_t integer = 0) {
    if (known == kUnset) known = pickle_.add({.kind = kind, .integer = integer});
    push(known);
  }
  void push_text(PickleKind kind, std::string_view text) { push({.kind = kind, .text = text}); }
  // The lowest position that the operations since the last mark may touch.
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  void need(std::size_t count) const {
    check<FileError>(stack_.size() - floor() >= count, "{}: the pickle takes a value that is not there",
                     pickle_.who);
  }
  PickleRef top() const {
    need(1);
    return stack_.back();
  }
  PickleRef pop() {
    const PickleRef ref = top();
    stack_.pop_back();
    return ref;
  }
  std::vector<PickleRef> pop_last(std::size_t count) {
    need(count);
    std::vector<PickleRef> items(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }
  std::vector<PickleRef> pop_to_mark() {
    check<FileError>(!marks_.empty(), "{}: the pickle takes a mark that is not there", pickle_.who);
    std::vector<PickleRef> items = pop_last(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }

  // The memo. PyTorch numbers it from 0, so that no number exceeds the pickle's length.
  void put(std::uint64_t index) {
    check<FileError>(index < pickle_.bytes.size(), "{}: {} is no number for a memo", pickle_.who, index);
    if (memo_.size() <= index) memo_.resize(static_cast<std::size_t>(index) + 1, kUnset);
    memo_[static_cast<std::size_t>(index)] = top();
    ++puts_;
  }
  void get(std::uint64_t index) {
    check<FileError>(index < memo_.size() && memo_[static_cast<std::size_t>(index)] != kUnset,
                     "{}: the pickle reads memo {}, which is empty", pickle_.who, index);
    push(memo_[static_cast<std::size_t>(index)]);
  }

  PickleValue& value(PickleRef ref) { return pickle_.values[ref]; }
  PickleValue& expect(PickleRef ref, PickleKind kind, const char* operation) {
    check<FileError>(value(ref).kind == kind, "{}: the pickle's {} does not fit its values", pickle_.who,
                     operation);
    return value(ref);
  }

  void name_global(std::string_view module, std::string_view name);
  void big(std::string_view little_endian);
  void append(std::vector<PickleRef> items);
  void set_items(const std::vector<PickleRef>& items);
  void reduce();
  const std::vector<PickleRef>& copied(const PickleValue& list);
  PickleValue dict_of(const PickleValue& arguments);
  void make_object(bool with_keywords);
  void build();
  bool step(unsigned char operation);

  Pickle& pickle_;
  PickleHost& host_;
  std::size_t at_;
  std::size_t copied_ = 0;  // items copied out of lists that the memo may give again
  std::vector<PickleRef> stack_;
  std::vector<std::size_t> marks_;
  std::vector<PickleRef> memo_;
  PickleRef none_ = kUnset;
  PickleRef booleans_[2] = {kUnset, kUnset};
  PickleRef empty_tuple_ = kUnset;
  std::uint64_t puts_ = 0;
};

void Machine::name_global(std::string_view module, std::string_view name) {
  check<FileError>(module.size() + name.size() < kLongestClassName, "{}: {} is too long a name for a class",
                   pickle_.who, printable(name));
  std::string full = std::string(module) + "." + std::string(name);
  host_.see_global(full);
  check<FileError>(pickle_.names.size() < kMostNames, "{}: has more than {} classes", pickle_.who,
                   kMostNames);
  push_text(PickleKind::global, *pickle_.names.insert(std::move(full)).first);
}

// Two's complement of any length, lowest byte first.
void Machine::big(std::string_view little_endian) {
  if (little_endian.size() > sizeof(std::int64_t)) {
    push_text(PickleKind::big_integer, little_endian);
    return;
  }
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < little_endian.size(); ++i) {
    bits |= std::uint64_t{static_cast<unsigned char>(little_endian[i])} << (8 * i);
  }
  const bool negative =
      !little_endian.empty() && (static_cast<unsigned char>(little_endian.back()) & 0x80) != 0;
  if (negative && little_endian.size() < sizeof(bits))
    bits |= ~std::uint64_t{0} << (8 * little_endian.size());
  push(PickleKind::integer, static_cast<std::int64_t>(bits));
}

void Machine::append(std::vector<PickleRef> items) {
  PickleValue& target = value(top());
  check<FileError>(target.kind == PickleKind::list || target.kind == PickleKind::set,
                   "{}: the pickle appends to what is no list", pickle_.who);
  target.items.insert(target.items.end(), items.begin(), items.end());
}

void Machine::set_items(const std::vector<PickleRef>& items) {
  check<FileError>(items.size() % 2 == 0, "{}: the pickle gives a dict a key without a value", pickle_.who);
  PickleValue& target = expect(top(), PickleKind::dict, "SETITEMS");
  target.items.insert(target.items.end(), items.begin(), items.end());
}

void Machine::reduce() {
  const PickleRef arguments = pop();
  const PickleRef function = pop();
  const std::string_view name = expect(function, PickleKind::global, "REDUCE").text;
  const PickleValue& given = expect(arguments, PickleKind::tuple, "REDUCE");
  const auto is_one_of = [&](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (is_one_of(kSets)) {
    PickleValue result{.kind = PickleKind::set};
    if (!given.items.empty()) result.items = copied(expect(given.items[0], PickleKind::list, "REDUCE"));
    push(std::move(result));
  } else if (is_one_of(kDicts)) {
    push(dict_of(given));
  } else {
    push(host_.call(pickle_, function, arguments));
  }
}

// The items of a list that the memo may give again and again.
const std::vector<PickleRef>& Machine::copied(const PickleValue& list) {
  copied_ += list.items.size();
  check<FileError>(copied_ <= pickle_.most_values, "{}: has more than {} values", pickle_.who,
                   pickle_.most_values);
  return list.items;
}

// A dict of a call's first argument: pairs, another dict, or a factory, which tells nothing.
PickleValue Machine::dict_of(const PickleValue& arguments) {
  PickleValue result{.kind = PickleKind::dict};
  if (arguments.items.empty()) return result;
  const PickleValue& source = value(arguments.items[0]);
  if (source.kind == PickleKind::dict) {
    result.items = copied(source);
  } else if (source.kind == PickleKind::list) {
    for (const PickleRef pair : copied(source)) {
      const PickleValue& both = value(pair);
      check<FileError>(
          (both.kind == PickleKind::list || both.kind == PickleKind::tuple) && both.items.size() == 2,
          "{}: a dict is made of something other than pairs", pickle_.who);
      result.items.insert(result.items.end(), both.items.begin(), both.items.end());
    }
  }
  return result;
}

void Machine::make_object(bool with_keywords) {
  if (with_keywords) pop();
  const PickleRef arguments = pop();
  const PickleRef type = pop();
  const std::string_view name = expect(type, PickleKind::global, "NEWOBJ").text;
  expect(arguments, PickleKind::tuple, "NEWOBJ");
  if (name == kOrderedDict) {
    push(PickleKind::dict);
    return;
  }
  push({.kind = PickleKind::object, .items = {type, arguments}});
}

void Machine::build() {
  const PickleRef state = pop();
  PickleValue& target = value(top());
  // The attributes of a dict, such as a state dict's _metadata, and of a tensor have no place here.
  if (target.kind == PickleKind::dict || target.kind == PickleKind::tensor) return;
  check<FileError>(target.kind == PickleKind::object, "{}: the pickle's BUILD does not fit its values",
                   pickle_.who);
  target.items.resize(2);
  target.items.push_back(state);
}

bool Machine::step(unsigned char operation) {
  using enum PickleKind;
  switch (operation) {
    case 0x80:  // PROTO
    {
      const auto protocol = number<std::uint8_t>();
      check<FileError>(protocol >= 2 && protocol <= 5, "{}: is a pickle of protocol {}, expected 2 to 5",
                       pickle_.who, protocol);
      break;
    }
    case 0x95:  // FRAME
      take(8);
      break;
    case '.':  // STOP
      pickle_.root = pop();
      return false;
    case '(':  // MARK
      marks_.push_back(stack_.size());
      break;
    case '0':  // POP
      if (stack_.size() > floor()) {
        stack_.pop_back();
      } else {
        pop_to_mark();
      }
      break;
    case '1':  // POP_MARK
      pop_to_mark();
      break;
    case '2':  // DUP
      push(top());
      break;
    case 'N':
      push_shared(none_, none);
      break;
    case 0x88:  // NEWTRUE
    case 0x89:  // NEWFALSE
      push_shared(booleans_[operation & 1], boolean, operation == 0x88 ? 1 : 0);
      break;
    case 'J':  // BININT
      push(PickleKind::integer, number<std::int32_t>());
      break;
    case 'K':  // BININT1
      push(PickleKind::integer, number<std::uint8_t>());
      break;
    case 'M':  // BININT2
      push(PickleKind::integer, number<std::uint16_t>());
      break;
    case 0x8a:  // LONG1
      big(take(number<std::uint8_t>()));
      break;
    case 0x8b:  // LONG4
      big(take(number<std::uint32_t>()));
      break;
    case 'G':  // BINFLOAT, most significant byte first
      push({.kind = real, .real = std::bit_cast<double>(__builtin_bswap64(number<std::uint64_t>()))});
      break;
    case 'X':  // BINUNICODE
      push_text(text, take(number<std::uint32_t>()));
      break;
    case 0x8c:  // SHORT_BINUNICODE
      push_text(text, take(number<std::uint8_t>()));
      break;
    case 0x8d:  // BINUNICODE8
      push_text(text, take(number<std::uint64_t>()));
      break;
    case 'T':  // BINSTRING, of Python 2
    case 'B':  // BINBYTES
      push_text(operation == 'T' ? text : bytes, take(number<std::uint32_t>()));
      break;
    case 'U':  // SHORT_BINSTRING
    case 'C':  // SHORT_BINBYTES
      push_text(operation == 'U' ? text : bytes, take(number<std::uint8_t>()));
      break;
    case 0x8e:  // BINBYTES8
    case 0x96:  // BYTEARRAY8
      push_text(bytes, take(number<std::uint64_t>()));
      break;
    case ')':  // EMPTY_TUPLE
      push_shared(empty_tuple_, tuple);
      break;
    case 0x85:  // TUPLE1
    case 0x86:  // TUPLE2
    case 0x87:  // TUPLE3
      push({.kind = tuple, .items = pop_last(operation - 0x84U)});
      break;
    case 't':  // TUPLE
      push({.kind = tuple, .items = pop_to_mark()});
      break;
    case ']':  // EMPTY_LIST
      push(list);
      break;
    case 'l':  // LIST
      push({.kind = list, .items = pop_to_mark()});
      break;
    case 'a':  // APPEND
      append({pop()});
      break;
    case 'e':   // APPENDS
    case 0x90:  // ADDITEMS
      append(pop_to_mark());
      break;
    case '}':  // EMPTY_DICT
      push(dict);
      break;
    case 'd':  // DICT
    {
      std::vector<PickleRef> items = pop_to_mark();
      push(dict);
      set_items(items);
      break;
    }
    case 's':  // SETITEM
      set_items(pop_last(2));
      break;
    case 'u':  // SETITEMS
      set_items(pop_to_mark());
      break;
    case 0x8f:  // EMPTY_SET
      push(set);
      break;
    case 0x91:  // FROZENSET
      push({.kind = set, .items = pop_to_mark()});
      break;
    case 'c':  // GLOBAL
    {
      const std::string_view module = line();
      name_global(module, line());
      break;
    }
    case 0x93:  // STACK_GLOBAL
    {
      const std::string_view name = expect(pop(), text, "STACK_GLOBAL").text;
      name_global(expect(pop(), text, "STACK_GLOBAL").text, name);
      break;
    }
    case 'R':  // REDUCE
      reduce();
      break;
    case 0x81:  // NEWOBJ
    case 0x92:  // NEWOBJ_EX
      make_object(operation == 0x92);
      break;
    case 'b':  // BUILD
      build();
      break;
    case 'Q':  // BINPERSID
    {
      const PickleRef id = pop();
      push(host_.persistent(pickle_, id));
      break;
    }
    case 'q':  // BINPUT
      put(number<std::uint8_t>());
      break;
    case 'r':  // LONG_BINPUT
      put(number<std::uint32_t>());
      break;
    case 0x94:  // MEMOIZE
      put(puts_);
      break;
    case 'h':  // BINGET
      get(number<std::uint8_t>());
      break;
    case 'j':  // LONG_BINGET
      get(number<std::uint32_t>());
      break;
    default:
      throw FileError(
          fmt::format("{}: operation 0x{:02x} is none that PyTorch writes", pickle_.who, operation));
  }
  return true;
}

}  // namespace

const PickleValue* Pickle::find(const PickleValue& dict, std::string_view key) const {
  for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue& candidate = item(dict, i);
    if (candidate.kind == PickleKind::text && candidate.text == key) return &item(dict, i + 1);
  }
  return nullptr;
}

PickleRef Pickle::add(PickleValue value) {
  check<FileError>(values.size() < most_values, "{}: has more than {} values", who, most_values);
  values.push_back(std::move(value));
  return static_cast<PickleRef>(values.size() - 1);
}

std::size_t read_pickle(Pickle& pickle, PickleHost& host, std::size_t begin) {
  return Machine(pickle, host, begin).run();
}

}  // namespace qconv

#include "mambaseg/io/pickle.h"

#include <bit>
#include <cstring>
#include <limits>
#include <map>
#include <unordered_map>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

using Kind = PickleValue::Kind;

/// Number types of the storage classes of torch.
const std::map<std::string, std::string>& storage_dtypes() {
  static const std::map<std::string, std::string> dtypes{
      {"torch DoubleStorage", "F64"}, {"torch FloatStorage", "F32"},     {"torch HalfStorage", "F16"},
      {"torch LongStorage", "I64"},   {"torch BFloat16Storage", "BF16"}, {"torch IntStorage", "I32"},
      {"torch ShortStorage", "I16"},  {"torch CharStorage", "I8"},       {"torch ByteStorage", "U8"},
      {"torch BoolStorage", "BOOL"}};
  return dtypes;
}

constexpr const char* kOrderedDict = "collections OrderedDict";
constexpr const char* kRebuildTensor = "torch._utils _rebuild_tensor_v2";
constexpr const char* kRebuildParameter = "torch._utils _rebuild_parameter";

/// The stack machine of the pickle format, without the operations that could run code.
class Machine {
 public:
  explicit Machine(std::span<const unsigned char> bytes) : bytes_(bytes) {}

  Pickle run() {
    while (step(byte())) {
    }
    require(stack_.size() == 1 && marks_.empty(), "pickle: ", stack_.size(), " values are left at its end");
    pickle_.top = stack_.back();
    return std::move(pickle_);
  }

 private:
  // -- reading

  unsigned char byte() {
    require(at_ < bytes_.size(), "pickle: it is cut off");
    return bytes_[at_++];
  }

  std::string text(uint64_t length) {
    require(length <= bytes_.size() - at_, "pickle: it is cut off");
    const std::string out(reinterpret_cast<const char*>(bytes_.data()) + at_, length);
    at_ += length;
    return out;
  }

  template <class T>
  T little() {
    T value;
    const std::string raw = text(sizeof value);
    std::memcpy(&value, raw.data(), sizeof value);
    return value;
  }

  std::string line() {
    std::string out;
    for (unsigned char c = byte(); c != '\n'; c = byte()) out += static_cast<char>(c);
    return out;
  }

  /// A number of `length` bytes in two's complement.
  int64_t long_number(uint64_t length) {
    const std::string raw = text(length);
    require(length <= 8, "pickle: a number of ", length, " bytes");
    uint64_t value = !raw.empty() && (raw.back() & 0x80) ? ~uint64_t{0} : 0;
    for (size_t i = raw.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(raw[i]);
    return static_cast<int64_t>(value);
  }

  double real_number() {
    uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) bits = bits << 8 | byte();
    return std::bit_cast<double>(bits);
  }

  // -- stack

  PickleValue& value(size_t index) { return pickle_.values[index]; }

  size_t add(PickleValue made) {
    pickle_.values.push_back(std::move(made));
    return pickle_.values.size() - 1;
  }

  void push(Kind kind, int64_t integer = 0) {
    PickleValue made;
    made.kind = kind;
    made.integer = integer;
    stack_.push_back(add(std::move(made)));
  }

  void push_text(std::string words, Kind kind = Kind::text) {
    push(kind);
    value(stack_.back()).text = std::move(words);
  }

  size_t pop() {
    require(!stack_.empty() && (marks_.empty() || stack_.size() > marks_.back()),
            "pickle: the stack is empty");
    const size_t index = stack_.back();
    stack_.pop_back();
    return index;
  }

  size_t top() {
    const size_t index = pop();
    stack_.push_back(index);
    return index;
  }

  std::vector<size_t> pop_to_mark() {
    require(!marks_.empty(), "pickle: no mark on the stack");
    const auto begin = stack_.begin() + static_cast<ptrdiff_t>(marks_.back());
    marks_.pop_back();
    const std::vector<size_t> out(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    return out;
  }

  void push_tuple(std::vector<size_t> items) {
    push(Kind::tuple);
    value(stack_.back()).items = std::move(items);
  }

  /// The last `count` values as a tuple.
  void tuple_of(size_t count) {
    std::vector<size_t> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    push_tuple(std::move(items));
  }

  void append(const std::vector<size_t>& items, Kind container) {
    PickleValue& to = value(top());
    require(to.kind == container, "pickle: entries for something that is no container");
    require(container == Kind::list || items.size() % 2 == 0, "pickle: a key without a value");
    to.items.insert(to.items.end(), items.begin(), items.end());
  }

  void remember(uint64_t slot) { memo_[slot] = top(); }

  void recall(uint64_t slot) {
    const auto found = memo_.find(slot);
    require(found != memo_.end(), "pickle: it refers to value ", slot, ", which is not there");
    stack_.push_back(found->second);
  }

  // -- what may be made

  void push_global(const std::string& module, const std::string& name) {
    const std::string global = module + " " + name;
    require(global == kOrderedDict || global == kRebuildTensor || global == kRebuildParameter ||
                storage_dtypes().count(global) != 0,
            "it holds ", module, ".", name,
            ", which is neither a tensor nor a plain container; it is refused (save only the state_dict)");
    push_text(global, Kind::global);
  }

  /// ("storage", class, record, device, elements)
  void push_storage() {
    const PickleValue& id = value(pop());
    const bool shaped = id.kind == Kind::tuple && id.items.size() == 5 &&
                        value(id.items[0]).text == "storage" && value(id.items[1]).kind == Kind::global &&
                        value(id.items[2]).kind == Kind::text && value(id.items[4]).kind == Kind::integer;
    require(shaped && storage_dtypes().count(value(id.items[1]).text) != 0,
            "pickle: an external reference that is no tensor storage");
    PickleValue storage;
    storage.kind = Kind::storage;
    storage.dtype = storage_dtypes().at(value(id.items[1]).text);
    storage.text = value(id.items[2]).text;
    storage.integer = value(id.items[4]).integer;
    stack_.push_back(add(std::move(storage)));
  }

  std::vector<int64_t> whole_numbers(size_t tuple) {
    std::vector<int64_t> out;
    require(value(tuple).kind == Kind::tuple, "pickle: a tensor whose sizes are no tuple");
    for (const size_t item : value(tuple).items) {
      require(value(item).kind == Kind::integer && value(item).integer >= 0,
              "pickle: a tensor with an impossible size");
      out.push_back(value(item).integer);
    }
    return out;
  }

  /// (storage, offset, sizes, strides, requires_grad, hooks)
  void push_tensor(const std::vector<size_t>& arguments) {
    require(arguments.size() >= 4 && value(arguments[0]).kind == Kind::storage &&
                value(arguments[1]).kind == Kind::integer,
            "pickle: a tensor with unknown arguments");
    PickleValue tensor;
    tensor.kind = Kind::tensor;
    tensor.dtype = value(arguments[0]).dtype;
    tensor.integer = value(arguments[1]).integer;
    tensor.items = {arguments[0]};
    tensor.sizes = whole_numbers(arguments[2]);
    tensor.strides = whole_numbers(arguments[3]);
    require(tensor.integer >= 0 && tensor.sizes.size() == tensor.strides.size(),
            "pickle: a tensor with impossible strides");
    stack_.push_back(add(std::move(tensor)));
  }

  void call() {
    const std::vector<size_t> arguments = value(top()).items;
    const bool tuple = value(pop()).kind == Kind::tuple;
    const PickleValue& function = value(pop());
    require(tuple && function.kind == Kind::global, "pickle: a call of something that is no function");
    if (function.text == kRebuildTensor) return push_tensor(arguments);
    if (function.text == kRebuildParameter) {
      require(!arguments.empty() && value(arguments[0]).kind == Kind::tensor,
              "pickle: a parameter without tensor");
      return stack_.push_back(arguments[0]);
    }
    require(function.text == kOrderedDict, "pickle: a call of ", function.text);
    require(arguments.empty(), "pickle: an OrderedDict with arguments");
    push(Kind::dict);
  }

  /// Carries out one operation; false at the end of the pickle.
  bool step(unsigned char operation) {
    switch (operation) {
      case 0x80:
        byte();
        break;  // PROTO
      case 0x95:
        little<uint64_t>();
        break;  // FRAME
      case '.':
        return false;  // STOP
      case '(':
        marks_.push_back(stack_.size());
        break;  // MARK
      case '0':
        pop();
        break;  // POP
      case 'N':
        push(Kind::none);
        break;  // NONE
      case 0x88:
        push(Kind::boolean, 1);
        break;  // NEWTRUE
      case 0x89:
        push(Kind::boolean, 0);
        break;  // NEWFALSE
      case 'J':
        push(Kind::integer, little<int32_t>());
        break;  // BININT
      case 'K':
        push(Kind::integer, byte());
        break;  // BININT1
      case 'M':
        push(Kind::integer, little<uint16_t>());
        break;  // BININT2
      case 0x8a:
        push(Kind::integer, long_number(byte()));
        break;  // LONG1
      case 'G':
        push(Kind::real);
        value(stack_.back()).real = real_number();
        break;  // BINFLOAT
      case 'X':
        push_text(text(little<uint32_t>()));
        break;  // BINUNICODE
      case 0x8c:
        push_text(text(byte()));
        break;  // SHORT_BINUNICODE
      case 0x8d:
        push_text(text(little<uint64_t>()));
        break;  // BINUNICODE8
      case 'T':
        push_text(text(little<uint32_t>()));
        break;  // BINSTRING
      case 'U':
        push_text(text(byte()));
        break;  // SHORT_BINSTRING
      case ')':
        push_tuple({});
        break;  // EMPTY_TUPLE
      case 0x85:
        tuple_of(1);
        break;  // TUPLE1
      case 0x86:
        tuple_of(2);
        break;  // TUPLE2
      case 0x87:
        tuple_of(3);
        break;  // TUPLE3
      case 't':
        push_tuple(pop_to_mark());
        break;  // TUPLE
      case ']':
        push(Kind::list);
        break;  // EMPTY_LIST
      case '}':
        push(Kind::dict);
        break;  // EMPTY_DICT
      case 'a': {
        const size_t item = pop();
        append({item}, Kind::list);
        break;
      }  // APPEND
      case 'e':
        append(pop_to_mark(), Kind::list);
        break;  // APPENDS
      case 's': {
        const size_t item = pop(), key = pop();
        append({key, item}, Kind::dict);
        break;
      }  // SETITEM
      case 'u':
        append(pop_to_mark(), Kind::dict);
        break;  // SETITEMS
      case 'q':
        remember(byte());
        break;  // BINPUT
      case 'r':
        remember(little<uint32_t>());
        break;  // LONG_BINPUT
      case 0x94:
        remember(memo_.size());
        break;  // MEMOIZE
      case 'h':
        recall(byte());
        break;  // BINGET
      case 'j':
        recall(little<uint32_t>());
        break;  // LONG_BINGET
      case 'c': {
        const std::string module = line();
        push_global(module, line());
        break;
      }  // GLOBAL
      case 0x93: {
        const size_t name = pop(), module = pop();  // STACK_GLOBAL
        push_global(std::string(value(module).text), std::string(value(name).text));
        break;
      }
      case 'Q':
        push_storage();
        break;  // BINPERSID
      case 'R':
        call();
        break;  // REDUCE
      case 'b':
        pop();
        require(value(top()).kind == Kind::dict, "pickle: a state for something that is no dictionary");
        break;  // BUILD: attributes of a dictionary
      default:
        throw Error(concat("pickle: operation ", static_cast<int>(operation), " is refused"));
    }
    return true;
  }

  std::span<const unsigned char> bytes_;
  size_t at_ = 0;
  Pickle pickle_;
  std::vector<size_t> stack_, marks_;
  std::unordered_map<uint64_t, size_t> memo_;
};

}  // namespace

Pickle read_pickle(std::span<const unsigned char> bytes) { return Machine(bytes).run(); }

}  // namespace mambaseg

#include "mambaseg/io/torch_file.h"

#include <algorithm>
#include <cstring>

#include "mambaseg/core/error.h"
#include "mambaseg/io/pickle.h"
#include "mambaseg/io/zip_archive.h"

namespace mambaseg {
namespace {

using Kind = PickleValue::Kind;
using Bytes = ZipArchive::Bytes;

constexpr const char* kOtherFormat =
    "not a zip file: PyTorch before 1.6 wrote another format; load it there and torch.save it again";

/// Name of the folder that holds data.pkl, with its slash.
std::string folder_of(const ZipArchive& archive) {
  for (const std::string& name : archive.names()) {
    if (name == "data.pkl") return "";
    if (name.ends_with("/data.pkl")) return name.substr(0, name.size() - 8);
  }
  throw Error("no data.pkl inside: not a file of torch.save");
}

const PickleValue* find(const Pickle& pickle, const PickleValue& dict, const std::string& key) {
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2)
    if (pickle.values[dict.items[i]].kind == Kind::text && pickle.values[dict.items[i]].text == key)
      return &pickle.values[dict.items[i + 1]];
  return nullptr;
}

/// The dictionary of tensors, which may lie inside that of a training run.
const PickleValue& state_dict(const Pickle& pickle) {
  const PickleValue* dict = &pickle.values[pickle.top];
  require(dict->kind == Kind::dict, "expected a dictionary of tensors");
  for (size_t depth = 0; depth < pickle.values.size(); ++depth) {
    const PickleValue* inner = nullptr;
    for (const char* key : {"state_dict", "model_state_dict", "model"})
      if (const PickleValue* found = find(pickle, *dict, key);
          inner == nullptr && found && found->kind == Kind::dict)
        inner = found;
    if (inner == nullptr) break;
    dict = inner;
  }
  return *dict;
}

/// Elements of a tensor, and the first element behind the last one that it reads; nothing when that
/// overflows.
bool extents(const PickleValue& tensor, int64_t& count, int64_t& end) {
  count = 1;
  end = tensor.integer;
  for (size_t axis = 0; axis < tensor.sizes.size(); ++axis)
    if (__builtin_mul_overflow(count, tensor.sizes[axis], &count)) return false;
  if (count == 0) return true;
  for (size_t axis = 0; axis < tensor.sizes.size(); ++axis) {
    int64_t reach = 0;
    if (__builtin_mul_overflow(tensor.sizes[axis] - 1, tensor.strides[axis], &reach)) return false;
    if (__builtin_add_overflow(end, reach, &end)) return false;
  }
  return !__builtin_add_overflow(end, 1, &end);
}

/// Values of a tensor in row-major order. `from` is the whole storage. Between two values the position may
/// leave it, by strides that extents() never had to multiply; without a sign it comes back.
void gather(const PickleValue& tensor, size_t element, const unsigned char* from, std::byte* to) {
  std::vector<int64_t> index(tensor.sizes.size(), 0);
  auto position = static_cast<uint64_t>(tensor.integer);
  for (bool more = true; more; to += element) {
    std::memcpy(to, from + position * element, element);
    more = false;
    for (size_t axis = tensor.sizes.size(); axis-- > 0 && !more;) {
      more = ++index[axis] < tensor.sizes[axis];
      position += static_cast<uint64_t>(tensor.strides[axis]);
      if (!more) {
        position -= static_cast<uint64_t>(tensor.strides[axis]) * static_cast<uint64_t>(tensor.sizes[axis]);
        index[axis] = 0;
      }
    }
  }
}

void swap_bytes(Bytes& bytes, size_t element) {
  for (size_t at = 0; at + element <= bytes.size(); at += element)
    std::reverse(bytes.begin() + static_cast<ptrdiff_t>(at),
                 bytes.begin() + static_cast<ptrdiff_t>(at + element));
}

/// Storages by record name, read once.
class Storages {
 public:
  Storages(const ZipArchive& archive, std::string folder) : archive_(archive), folder_(std::move(folder)) {
    if (!archive.has(folder_ + "byteorder")) return;
    const Bytes order = archive.read(folder_ + "byteorder");
    const std::string text(order.begin(), order.end());
    require(text == "little" || text == "big", "unknown byte order ", text);
    swap_ = text == "big";
  }

  const Bytes& get(const PickleValue& storage) {
    const auto [found, fresh] = records_.try_emplace(storage.text + " " + storage.dtype);
    if (fresh) {
      found->second = archive_.read(folder_ + "data/" + storage.text);
      if (swap_) swap_bytes(found->second, dtype_size(storage.dtype));
    }
    const int64_t held = static_cast<int64_t>(found->second.size() / dtype_size(storage.dtype));
    require(storage.integer >= 0 && storage.integer <= held, "record ", storage.text, " holds ", held,
            " values, expected ", storage.integer);
    return found->second;
  }

 private:
  const ZipArchive& archive_;
  std::string folder_;
  bool swap_ = false;
  std::map<std::string, Bytes> records_;
};

std::vector<std::byte> contiguous(const PickleValue& tensor, const PickleValue& storage, const Bytes& bytes) {
  int64_t count = 0, end = 0;
  require(extents(tensor, count, end) && end <= storage.integer, "it reaches past the end of its storage of ",
          storage.integer, " values");
  require(count <= storage.integer, "it repeats the values of its storage");
  const size_t element = dtype_size(tensor.dtype);
  std::vector<std::byte> out(static_cast<size_t>(count) * element);
  if (count > 0) gather(tensor, element, bytes.data(), out.data());
  return out;
}

/// "module.", when every name begins with it.
std::string common_prefix(const Pickle& pickle, const PickleValue& dict) {
  const std::string prefix = "module.";
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2)
    if (pickle.values[dict.items[i + 1]].kind == Kind::tensor &&
        pickle.values[dict.items[i]].text.compare(0, prefix.size(), prefix) != 0)
      return "";
  return prefix;
}

TensorFile read(const std::string& path) {
  const ZipArchive archive(path, kOtherFormat);
  const std::string folder = folder_of(archive);
  const Pickle pickle = read_pickle(archive.read(folder + "data.pkl"));
  const PickleValue& dict = state_dict(pickle);
  const std::string prefix = common_prefix(pickle, dict);
  Storages storages(archive, folder);

  TensorFile file;
  auto kept = std::make_shared<std::vector<std::vector<std::byte>>>();
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue &key = pickle.values[dict.items[i]], &tensor = pickle.values[dict.items[i + 1]];
    if (tensor.kind != Kind::tensor) continue;
    require(key.kind == Kind::text, "a tensor whose name is no text");
    const std::string name = key.text.substr(prefix.size());
    with_context("tensor " + name, [&] {
      require(file.find(name) == nullptr, "it is there twice");
      const PickleValue& storage = pickle.values[tensor.items[0]];
      kept->push_back(contiguous(tensor, storage, storages.get(storage)));
      file.tensors.push_back({name, tensor.dtype, tensor.sizes, kept->back()});
    });
  }
  require(!file.tensors.empty(), "no tensors inside (a whole pickled model? save its state_dict)");
  file.storage = kept;
  return file;
}

}  // namespace

TensorFile read_torch_file(const std::string& path) {
  return with_context(path, [&] { return read(path); });
}

}  // namespace mambaseg

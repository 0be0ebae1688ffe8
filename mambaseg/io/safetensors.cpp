#include "mambaseg/io/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/io/atomic_file.h"

namespace mambaseg {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors holds little-endian values");

constexpr uint64_t kLongestHeader = 100'000'000;  // the limit of the format's own library

/// A file mapped for reading; unmapped with the last owner.
struct MappedFile {
  const std::byte* data = nullptr;
  size_t size = 0;

  explicit MappedFile(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    require(descriptor >= 0, "cannot open: ", std::strerror(errno));
    struct stat status {};
    const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    size = regular ? static_cast<size_t>(status.st_size) : 0;
    void* address = size > 0 ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0) : MAP_FAILED;
    ::close(descriptor);
    require(regular, "not a file");
    require(size > 0, "the file is empty");
    require(address != MAP_FAILED, "cannot map into memory: ", std::strerror(errno));
    data = static_cast<const std::byte*>(address);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() {
    if (data != nullptr) ::munmap(const_cast<std::byte*>(data), size);
  }
};

/// Bytes of a tensor of these sizes, or nothing when that overflows.
bool byte_count(const std::vector<int64_t>& sizes, size_t element, uint64_t& bytes) {
  bytes = element;
  for (const int64_t size : sizes)
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes)) return false;
  return true;
}

uint64_t whole_number(const Json& value, const std::string& what) {
  require(value.is_number_unsigned(), what, " is not a whole number from 0 on");
  return value.get<uint64_t>();
}

Json parse_header(const char* begin, const char* end) {
  std::set<std::string> names;
  std::string repeated;
  const auto note_repeats = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1 && !names.insert(parsed.get<std::string>()).second)
      repeated = parsed.get<std::string>();
    return true;
  };
  Json header;
  try {
    header = Json::parse(begin, end, note_repeats);
  } catch (const Json::exception& error) {
    throw Error(concat("the header is not JSON: ", error.what()));
  }
  require(header.is_object(), "the header is not a JSON object");
  require(repeated.empty(), "tensor ", repeated, " is there twice");
  return header;
}

/// One entry of the header; `bytes` views into `data`.
StoredTensor parse_tensor(const std::string& name, const Json& entry, std::span<const std::byte> data) {
  require(entry.is_object() && entry.contains("dtype") && entry.contains("shape") &&
              entry.contains("data_offsets"),
          "expected dtype, shape and data_offsets");
  require(entry["dtype"].is_string(), "dtype is not a text");
  require(entry["shape"].is_array(), "shape is not a list");
  const Json& offsets = entry["data_offsets"];
  require(offsets.is_array() && offsets.size() == 2, "data_offsets is not a pair");

  StoredTensor tensor{name, entry["dtype"].get<std::string>(), {}, {}};
  for (const Json& size : entry["shape"]) {
    const uint64_t value = whole_number(size, "a size");
    require(value <= static_cast<uint64_t>(INT64_MAX), "a size is too large");
    tensor.sizes.push_back(static_cast<int64_t>(value));
  }
  const uint64_t begin = whole_number(offsets[0], "an offset"), end = whole_number(offsets[1], "an offset");
  require(begin <= end, "offsets ", begin, " to ", end, " run backwards");
  require(end <= data.size(), "offsets ", begin, " to ", end, " reach past the end (", data.size(),
          " bytes of data; is the file truncated?)");
  uint64_t expected = 0;
  require(byte_count(tensor.sizes, dtype_size(tensor.dtype), expected), "the shape is too large");
  require(end - begin == expected, "the shape needs ", expected, " bytes, the offsets hold ", end - begin);
  tensor.bytes = data.subspan(begin, end - begin);
  return tensor;
}

/// The data must be covered exactly once.
void check_layout(const std::vector<StoredTensor>& tensors, std::span<const std::byte> data) {
  const std::byte* reached = data.data();
  for (const StoredTensor& tensor : tensors) {
    require(tensor.bytes.data() >= reached, "tensor ", tensor.name, " overlaps another one");
    require(tensor.bytes.data() == reached, "there is a hole before tensor ", tensor.name);
    reached += tensor.bytes.size();
  }
  require(reached == data.data() + data.size(), data.data() + data.size() - reached,
          " bytes after the last tensor belong to none");
}

TensorFile parse(const std::shared_ptr<const MappedFile>& mapped) {
  require(mapped->size >= 8, "too short for a safetensors file (", mapped->size, " bytes)");
  uint64_t header_length = 0;
  std::memcpy(&header_length, mapped->data, 8);
  require(header_length <= mapped->size - 8 && header_length <= kLongestHeader, "the header should be ",
          header_length, " bytes long, the file has ", mapped->size,
          " bytes (not a safetensors file, or truncated)");
  const char* text = reinterpret_cast<const char*>(mapped->data + 8);
  const std::span<const std::byte> data(mapped->data + 8 + header_length, mapped->size - 8 - header_length);

  TensorFile file;
  file.storage = mapped;
  const Json header = parse_header(text, text + header_length);
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      require(entry.is_object(), "__metadata__ is not an object");
      for (const auto& [key, value] : entry.items()) {
        require(value.is_string(), "__metadata__ ", key, " is not a text");
        file.metadata[key] = value.get<std::string>();
      }
    } else {
      file.tensors.push_back(with_context(
          "tensor " + name, [&, &name = name, &entry = entry] { return parse_tensor(name, entry, data); }));
    }
  }
  std::stable_sort(
      file.tensors.begin(), file.tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
        return std::pair(a.bytes.data(), a.bytes.size()) < std::pair(b.bytes.data(), b.bytes.size());
      });
  check_layout(file.tensors, data);
  return file;
}

std::string header_text(const TensorFile& file) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!file.metadata.empty()) header["__metadata__"] = file.metadata;
  uint64_t offset = 0;
  for (const StoredTensor& tensor : file.tensors) {
    require(tensor.name != "__metadata__" && !header.contains(tensor.name), "tensor name ", tensor.name,
            " is reserved or there twice");
    uint64_t expected = 0;
    require(byte_count(tensor.sizes, dtype_size(tensor.dtype), expected) && expected == tensor.bytes.size(),
            "tensor ", tensor.name, " has ", tensor.bytes.size(), " bytes, its shape needs ", expected);
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.sizes},
                           {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace

const StoredTensor* TensorFile::find(const std::string& name) const {
  for (const StoredTensor& tensor : tensors)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

size_t dtype_size(const std::string& dtype) {
  static const std::map<std::string, size_t> sizes{
      {"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},  {"I32", 4},     {"I16", 2},    {"I8", 1},
      {"U64", 8}, {"U32", 4}, {"U16", 2}, {"U8", 1},   {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
  const auto found = sizes.find(dtype);
  require(found != sizes.end(), "number type ", dtype, " is not known");
  return found->second;
}

TensorFile read_safetensors(const std::string& path) {
  return with_context(path, [&] { return parse(std::make_shared<const MappedFile>(path)); });
}

void write_safetensors(const std::string& path, const TensorFile& file) {
  const std::string header = with_context(path, [&] { return header_text(file); });
  write_atomically(path, [&](const std::string& temporary) {
    OpenFile out(temporary, O_WRONLY | O_TRUNC);
    const uint64_t length = header.size();
    out.write(&length, sizeof length);
    out.write(header.data(), header.size());
    for (const StoredTensor& tensor : file.tensors) out.write(tensor.bytes.data(), tensor.bytes.size());
    out.close();
  });
}

}  // namespace mambaseg

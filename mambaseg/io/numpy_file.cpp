#include "mambaseg/io/numpy_file.h"

#include <charconv>
#include <cstring>
#include <map>

#include "mambaseg/core/error.h"
#include "mambaseg/io/zip_archive.h"

namespace mambaseg {
namespace {

using Bytes = ZipArchive::Bytes;

/// Number types by their `descr`.
const std::map<std::string, std::string>& dtypes() {
  static const std::map<std::string, std::string> list{{"<f8", "F64"}, {"<f4", "F32"}, {"<f2", "F16"},
                                                       {"<i8", "I64"}, {"<i4", "I32"}, {"<i2", "I16"},
                                                       {"|i1", "I8"},  {"|u1", "U8"},  {"|b1", "BOOL"}};
  return list;
}

/// What stands behind 'key': in the header, which is a dictionary in Python's notation, without blanks.
std::string behind(const std::string& header, const std::string& key) {
  const size_t at = header.find("'" + key + "':");
  require(at != std::string::npos, "its header names no ", key);
  const size_t begin = header.find_first_not_of(' ', at + key.size() + 3);
  require(begin != std::string::npos, "its header names no ", key);
  return header.substr(begin);
}

std::vector<int64_t> shape_of(const std::string& header) {
  const std::string text = behind(header, "shape");
  const size_t end = text.find(')');
  require(text[0] == '(' && end != std::string::npos, "its shape cannot be read");
  std::vector<int64_t> sizes;
  const char *at = text.data() + 1, *const last = text.data() + end;
  while (at != last) {
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    int64_t size = 0;
    const auto read = std::from_chars(at, last, size);
    require(read.ec == std::errc() && size >= 0, "its shape cannot be read");
    sizes.push_back(size);
    at = read.ptr;
  }
  return sizes;
}

/// Bytes of an array of these sizes; nothing where they overflow.
bool array_bytes(const std::vector<int64_t>& sizes, size_t element, size_t& bytes) {
  bytes = element;
  for (const int64_t size : sizes)
    if (__builtin_mul_overflow(bytes, static_cast<size_t>(size), &bytes)) return false;
  return true;
}

/// Values whose first axis is fastest, with the last axis fastest.
std::vector<std::byte> reordered(const std::vector<std::byte>& from, const std::vector<int64_t>& sizes,
                                 size_t element) {
  std::vector<std::byte> to(from.size());
  std::vector<int64_t> index(sizes.size(), 0);
  for (size_t at = 0; at < from.size(); at += element) {
    size_t place = 0;
    for (size_t axis = 0; axis < sizes.size(); ++axis)
      place = place * static_cast<size_t>(sizes[axis]) + static_cast<size_t>(index[axis]);
    std::memcpy(to.data() + place * element, from.data() + at, element);
    for (size_t axis = 0; axis < sizes.size() && ++index[axis] == sizes[axis]; ++axis) index[axis] = 0;
  }
  return to;
}

/// One .npy record (NumPy enhancement proposal 1): magic, version, length of the header, header, values.
std::vector<std::byte> read_npy(const Bytes& record, StoredTensor& tensor) {
  require(record.size() >= 12 && std::memcmp(record.data(), "\x93NUMPY", 6) == 0, "not a NumPy array");
  const bool wide = record[6] >= 2;
  const size_t begin = wide ? 12 : 10;
  size_t length = 0;
  for (size_t i = begin; i-- > 8;) length = length << 8 | record[i];
  require(length <= record.size() - begin, "its header is cut off");
  const std::string header(reinterpret_cast<const char*>(record.data()) + begin, length);
  const std::string descr = behind(header, "descr");
  const auto found = dtypes().find(descr.substr(1, 3));
  require(descr.size() > 4 && descr[0] == '\'' && descr[4] == '\'' && found != dtypes().end(),
          "expected numbers in little-endian order, got values of the type ",
          descr.substr(0, descr.find(',')));
  tensor.dtype = found->second;
  tensor.sizes = shape_of(header);
  size_t bytes = 0;
  const size_t element = dtype_size(tensor.dtype), held = record.size() - begin - length;
  require(array_bytes(tensor.sizes, element, bytes) && bytes == held, "it holds ", held,
          " bytes, which are not those of its shape");
  std::vector<std::byte> values(bytes);
  if (bytes > 0) std::memcpy(values.data(), record.data() + begin + length, bytes);
  const bool fortran = behind(header, "fortran_order").starts_with("True");
  return fortran ? reordered(values, tensor.sizes, element) : values;
}

TensorFile read(const std::string& path) {
  const ZipArchive archive(path, "not a zip file, which a .npz file is");
  TensorFile file;
  auto kept = std::make_shared<std::vector<std::vector<std::byte>>>();
  for (const std::string& record : archive.names())
    with_context("record " + record, [&] {
      require(record.ends_with(".npy"), "expected names that end in .npy");
      StoredTensor tensor;
      tensor.name = record.substr(0, record.size() - 4);
      require(file.find(tensor.name) == nullptr, "it is there twice");
      kept->push_back(read_npy(archive.read(record), tensor));
      tensor.bytes = kept->back();
      file.tensors.push_back(std::move(tensor));
    });
  require(!file.tensors.empty(), "no arrays inside");
  file.storage = kept;
  return file;
}

}  // namespace

TensorFile read_npz(const std::string& path) {
  return with_context(path, [&] { return read(path); });
}

}  // namespace mambaseg

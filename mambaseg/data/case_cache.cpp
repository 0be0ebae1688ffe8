#include "mambaseg/data/case_cache.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>

#include "mambaseg/data/problems.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/safetensors.h"
#include "mambaseg/ops/threads.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

constexpr char kLayout[] = "4";  ///< of the cached files; a change makes older ones stale

std::string path_of(const std::string& folder, const std::string& id) {
  return (fs::path(folder) / (id + ".safetensors")).string();
}

/// Names, sizes and times of the source files: another content under the same name is noticed.
std::string source_stamp(const Case& one) {
  std::vector<std::string> paths = one.images;
  paths.push_back(one.labels);
  if (!one.region.empty()) paths.push_back(one.region);
  std::string stamp;
  for (const std::string& path : paths) {
    struct stat status {};
    require(::stat(path.c_str(), &status) == 0, path, ": no such file");
    stamp += concat(fs::path(path).filename().string(), "|", status.st_size, "|", status.st_mtim.tv_sec, ".",
                    status.st_mtim.tv_nsec, ";");
  }
  return stamp;
}

bool is_done(const std::string& path, const std::string& hash, const std::string& stamp) {
  if (!fs::is_regular_file(path)) return false;
  try {
    const TensorFile file = read_safetensors(path);
    const auto value = [&](const char* key) {
      const auto found = file.metadata.find(key);
      return found == file.metadata.end() ? std::string() : found->second;
    };
    return value("plan_hash") == hash && value("source") == stamp;
  } catch (const Error&) {
    return false;  // half a file of another program: prepared anew
  }
}

StoredTensor stored(const std::string& name, const torch::Tensor& tensor, const char* dtype) {
  return {name,
          dtype,
          tensor.sizes().vec(),
          {static_cast<const std::byte*>(tensor.data_ptr()), static_cast<size_t>(tensor.nbytes())}};
}

/// The types that images are stored in.
struct StoredType {
  const char* name;
  torch::ScalarType type;
  float scale;  ///< value = stored * scale
};
constexpr StoredType kImageTypes[] = {
    {"U8", torch::kUInt8, 1.0f / 255}, {"F16", torch::kFloat16, 1}, {"F32", torch::kFloat32, 1}};

/// Changes with any value of the tensor. Every eighth word goes into one of eight hashes, which do not wait
/// for each other; in each a word can be told from the result and the other words.
std::string hash_of(const torch::Tensor& tensor) {
  constexpr size_t kStreams = 8;
  std::array<uint64_t, kStreams> hashes;
  hashes.fill(14695981039346656037u);
  const auto add = [](uint64_t& hash, uint64_t word) { hash = std::rotl(hash ^ word, 29) * 1099511628211u; };
  const auto* bytes = static_cast<const std::byte*>(tensor.data_ptr());
  std::array<uint64_t, kStreams> words{};
  for (size_t left = tensor.nbytes(); left > 0;) {
    const size_t piece = std::min(left, sizeof words);
    if (piece < sizeof words) words.fill(0);
    std::memcpy(words.data(), bytes, piece);
    for (size_t s = 0; s < kStreams; ++s) add(hashes[s], words[s]);
    bytes += piece;
    left -= piece;
  }
  for (size_t s = 1; s < kStreams; ++s) add(hashes[0], hashes[s]);
  std::ostringstream text;
  text << std::hex << hashes[0];
  return text.str();
}

void write_prepared(const std::string& path, const PreparedCase& prepared, const std::string& hash,
                    const std::string& stamp) {
  const auto* type = std::find_if(std::begin(kImageTypes), std::end(kImageTypes), [&](const StoredType& t) {
    return t.type == prepared.image_CIJK.scalar_type();
  });
  require(type != std::end(kImageTypes), "case ", prepared.id, ": no type of prepared images");
  TensorFile file;
  file.metadata = {{"plan_hash", hash},
                   {"source", stamp},
                   {"case", prepared.id},
                   {"spacing_mm", Json(prepared.spacing_mm).dump()},
                   {"label_map", prepared.label_map ? "1" : "0"},
                   {"unnamed_labels", Json(prepared.unnamed_labels).dump()},
                   {"content", hash_of(prepared.image_CIJK)},
                   {"classes", hash_of(prepared.classes_IJK)}};
  file.tensors = {stored("image", prepared.image_CIJK, type->name),
                  stored("classes", prepared.classes_IJK, "U8")};
  write_safetensors(path, file);
}

}  // namespace

std::string hash_of_text(const std::string& text) {
  uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const char c : text + kLayout) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  std::ostringstream digits;
  digits << std::hex << hash;
  return digits.str();
}

bool is_prepared(const Case& one, const Preparation& preparation, const std::string& folder) {
  try {
    return is_done(path_of(folder, one.id), preparation.hash, source_stamp(one));
  } catch (const Error&) {
    return false;
  }
}

bool prepare_case(const Case& one, const Preparation& preparation, const std::string& folder,
                  const Warn& warn) {
  const std::string stamp = source_stamp(one), path = path_of(folder, one.id);
  if (is_done(path, preparation.hash, stamp)) return false;
  write_prepared(path, preparation.prepare(one, warn), preparation.hash, stamp);
  return true;
}

int64_t prepare_cases(const std::vector<Case>& cases, const Preparation& preparation,
                      const std::string& folder, const Workers& workers, const Progress& progress,
                      const Warn& warn) {
  make_folder(folder);
  std::mutex mutex;  // guards what follows and the callbacks
  std::map<std::string, std::string> errors;
  int64_t done = 0, prepared_now = 0;
  const auto guarded_warn = [&](const std::string& line) {
    const std::lock_guard lock(mutex);
    if (warn) warn(line);
  };
  const auto prepare = [&](int64_t i) {
    const Case& one = cases[static_cast<size_t>(i)];
    std::string error;
    bool now = false;
    try {
      now = prepare_case(one, preparation, folder, guarded_warn);
    } catch (const std::bad_alloc&) {
      error = concat("case ", one.id, ": not enough memory");
    } catch (const std::exception& caught) {
      error = caught.what();
    }
    const std::lock_guard lock(mutex);
    if (!error.empty()) errors[one.id] = error;
    prepared_now += now;
    ++done;
    if (progress) progress("preparing cases", done, static_cast<int64_t>(cases.size()));
  };
  run_tensor_jobs(static_cast<int64_t>(cases.size()), workers, prepare, [&](int64_t i) {
    return preparation.bytes ? preparation.bytes(cases[static_cast<size_t>(i)]) : 0;
  });
  Problems problems;
  for (const auto& [id, error] : errors) problems.add(error);
  problems.raise(concat(errors.size(), " of ", cases.size(), " cases cannot be prepared"));
  return prepared_now;
}

PreparedCase load_prepared(const std::string& folder, const std::string& id) {
  const std::string path = path_of(folder, id);
  const TensorFile file = read_safetensors(path);
  const StoredTensor* image = file.find("image");
  const StoredTensor* classes = file.find("classes");
  require(image && classes && image->sizes.size() == classes->sizes.size() + 1 && classes->dtype == "U8" &&
              std::equal(classes->sizes.begin(), classes->sizes.end(), image->sizes.begin() + 1),
          path, ": not a prepared case: expected image (C, spatial) and classes (spatial)");
  const auto* type = std::find_if(std::begin(kImageTypes), std::end(kImageTypes),
                                  [&](const StoredType& t) { return image->dtype == t.name; });
  require(type != std::end(kImageTypes), path, ": not a prepared case: image of type ", image->dtype);
  const auto view = [&](const StoredTensor& tensor, torch::ScalarType type) {
    return torch::from_blob(const_cast<std::byte*>(tensor.bytes.data()), tensor.sizes,
                            torch::TensorOptions(type));
  };
  PreparedCase out;
  out.id = id;
  out.scale = type->scale;
  out.image_CIJK = view(*image, type->type);
  out.classes_IJK = view(*classes, torch::kUInt8);
  out.storage = file.storage;
  if (const auto content = file.metadata.find("content"); content != file.metadata.end())
    out.content = content->second;
  if (const auto content = file.metadata.find("classes"); content != file.metadata.end())
    out.classes_content = content->second;
  if (const auto spacing = file.metadata.find("spacing_mm"); spacing != file.metadata.end())
    out.spacing_mm = Json::parse(spacing->second).get<Vector3>();
  if (const auto map = file.metadata.find("label_map"); map != file.metadata.end())
    out.label_map = map->second == "1";
  if (const auto labels = file.metadata.find("unnamed_labels"); labels != file.metadata.end())
    out.unnamed_labels = Json::parse(labels->second).get<std::vector<int64_t>>();
  return out;
}

}  // namespace mambaseg

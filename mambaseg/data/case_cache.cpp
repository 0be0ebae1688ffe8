#include "mambaseg/data/case_cache.h"

#include <sys/stat.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "mambaseg/data/crop.h"
#include "mambaseg/data/preprocess.h"
#include "mambaseg/io/safetensors.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

constexpr char kLayout[] = "1";  ///< of the cached files; a change makes older ones stale

Index3 patch_of(const Plan& plan) {
  if (plan.patch.size() != 3) throw UsageError("setting plan.patch: training on volumes needs three edges");
  return {plan.patch[0], plan.patch[1], plan.patch[2]};
}

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

/// The box that training looks at, before it is widened to a patch.
Box training_box(const Case& one, const Plan& plan, const Volume<float>& image, const Warn& warn) {
  const Index3& size = image.geometry.size;
  if (plan.region == "labels") {
    const std::string& path = one.region.empty() ? one.labels : one.region;
    Plan ids = plan;  // the earlier stage's labels as they are, on the network's grid
    ids.unknown_labels = "background";
    ids.classes.clear();
    for (const int64_t id : plan.region_labels) ids.classes.push_back({concat(id), {id}});
    const Volume<int32_t> on_grid = labels_to_classes(read_labels(path, warn), image.geometry, ids);
    std::vector<int64_t> all;
    for (size_t k = 1; k <= ids.classes.size(); ++k) all.push_back(static_cast<int64_t>(k));
    const auto box = label_box(on_grid, all);
    require(box.has_value(), path, ": none of plan.region_labels occurs");
    return region_box(*box, patch_of(plan), plan.step, size);
  }
  if (!plan.crop_to_brain) return whole_box(size);
  const auto box = nonzero_box(image);
  require(box.has_value(), one.images[0], ": all voxels are zero after preparation");
  return *box;
}

/// Grows a box that is smaller than the patch, half of the growth before.
Box at_least_patch(Box box, const Index3& patch) {
  for (int a = 0; a < 3; ++a) {
    const int64_t missing = std::max<int64_t>(0, patch[a] - box.size[a]);
    box.start[a] -= missing / 2;
    box.size[a] += missing;
  }
  return box;
}

/// As uint8 when every value is a multiple of 1/255 (the robust rescale), which needs a quarter of the disk.
torch::Tensor packed(const torch::Tensor& image, float& scale) {
  const auto bytes = (image * 255).round();
  const bool fits = (bytes - image * 255).abs().max().item<float>() < 1e-3f &&
                    bytes.min().item<float>() >= 0 && bytes.max().item<float>() <= 255;
  scale = fits ? 1.0f / 255 : 1.0f;
  return fits ? bytes.to(torch::kUInt8) : image;
}

StoredTensor stored(const std::string& name, const torch::Tensor& tensor, const char* dtype) {
  return {name,
          dtype,
          tensor.sizes().vec(),
          {static_cast<const std::byte*>(tensor.data_ptr()), static_cast<size_t>(tensor.nbytes())}};
}

void write_prepared(const std::string& path, const PreparedCase& prepared, const std::string& hash,
                    const std::string& stamp) {
  const bool bytes = prepared.image_CIJK.scalar_type() == torch::kUInt8;
  TensorFile file;
  file.metadata = {{"plan_hash", hash}, {"source", stamp}, {"case", prepared.id}};
  file.tensors = {stored("image", prepared.image_CIJK, bytes ? "U8" : "F32"),
                  stored("classes", prepared.classes_IJK, "U8")};
  write_safetensors(path, file);
}

}  // namespace

std::string plan_hash(const Plan& plan) {
  Json json = to_json(plan);
  if (plan.region == "brain") json.erase("step");  // moves patches at prediction only
  uint64_t hash = 14695981039346656037u;           // FNV-1a
  for (const char c : json.dump() + kLayout) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  std::ostringstream text;
  text << std::hex << hash;
  return text.str();
}

PreparedCase prepare_case(const Case& one, const Plan& plan, const Warn& warn) {
  return with_context("case " + one.id, [&] {
    check_plan(plan);
    const Index3 patch = patch_of(plan);
    require(plan.classes.size() < 256, "at most 255 classes can be trained");
    PreparedCase out;
    out.id = one.id;
    std::vector<torch::Tensor> channels;
    std::optional<Box> box;
    Geometry grid;
    for (const std::string& path : one.images) {
      const PreparedImage prepared =
          with_context(path, [&] { return prepare_image(read_image(path, warn), plan, warn); });
      if (!box) {
        grid = prepared.image.geometry;
        box = at_least_patch(training_box(one, plan, prepared.image, warn), patch);
      }
      require(same_grid(grid, prepared.image.geometry), path, ": its grid (",
              describe(prepared.image.geometry), ") is not that of the first channel (", describe(grid), ")");
      channels.push_back(cut_box(tensor_from_volume(prepared.image), *box));
    }
    const Volume<int32_t> classes = with_context(
        one.labels, [&] { return labels_to_classes(read_labels(one.labels, warn), grid, plan); });
    out.image_CIJK = packed(torch::stack(channels), out.scale).contiguous();
    out.classes_IJK = cut_box(tensor_from_volume(classes).to(torch::kUInt8), *box).contiguous();
    return out;
  });
}

int64_t prepare_cases(const std::vector<Case>& cases, const Plan& plan, const std::string& folder,
                      int threads, const Progress& progress, const Warn& warn) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  require(!failure, folder, ": cannot be created: ", failure.message());
  const std::string hash = plan_hash(plan);
  std::atomic<size_t> next{0};
  std::mutex mutex;  // guards what follows and the callbacks
  std::map<std::string, std::string> errors;
  int64_t done = 0, prepared_now = 0;
  const auto guarded_warn = [&](const std::string& line) {
    const std::lock_guard lock(mutex);
    if (warn) warn(line);
  };
  const auto work = [&] {
    for (size_t i = next++; i < cases.size(); i = next++) {
      const Case& one = cases[i];
      std::string error;
      bool now = false;
      try {
        const std::string stamp = source_stamp(one), path = path_of(folder, one.id);
        if (!is_done(path, hash, stamp)) {
          write_prepared(path, prepare_case(one, plan, guarded_warn), hash, stamp);
          now = true;
        }
      } catch (const std::exception& caught) {
        error = caught.what();
      }
      const std::lock_guard lock(mutex);
      if (!error.empty()) errors[one.id] = error;
      prepared_now += now;
      ++done;
      if (progress) progress("preparing cases", done, static_cast<int64_t>(cases.size()));
    }
  };
  {
    std::vector<std::jthread> workers;
    for (int t = 0; t < std::min<int>(std::max(1, threads), static_cast<int>(cases.size())); ++t)
      workers.emplace_back(work);
  }
  if (!errors.empty()) {
    std::string text = concat(errors.size(), " of ", cases.size(), " cases cannot be prepared");
    for (const auto& [id, error] : errors) text += "; " + error;
    throw Error(text);
  }
  return prepared_now;
}

PreparedCase load_prepared(const std::string& folder, const std::string& id) {
  const std::string path = path_of(folder, id);
  const TensorFile file = read_safetensors(path);
  const StoredTensor* image = file.find("image");
  const StoredTensor* classes = file.find("classes");
  require(image && classes && image->sizes.size() == 4 && classes->sizes.size() == 3 &&
              classes->dtype == "U8" && (image->dtype == "U8" || image->dtype == "F32") &&
              std::equal(classes->sizes.begin(), classes->sizes.end(), image->sizes.begin() + 1),
          path, ": not a prepared case: expected image (C, i, j, k) and classes (i, j, k)");
  const bool bytes = image->dtype == "U8";
  const auto view = [&](const StoredTensor& tensor, torch::ScalarType type) {
    return torch::from_blob(const_cast<std::byte*>(tensor.bytes.data()), tensor.sizes,
                            torch::TensorOptions(type));
  };
  PreparedCase out;
  out.id = id;
  out.scale = bytes ? 1.0f / 255 : 1.0f;
  out.image_CIJK = view(*image, bytes ? torch::kUInt8 : torch::kFloat32);
  out.classes_IJK = view(*classes, torch::kUInt8);
  out.storage = file.storage;
  return out;
}

}  // namespace mambaseg

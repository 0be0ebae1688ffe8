#include "mambaseg/infer/probability_files.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "mambaseg/core/error.h"
#include "mambaseg/io/image.h"

namespace mambaseg {

void ProbabilityFiles::Remove::operator()(std::FILE* file) const {
  std::fclose(file);
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

std::string ProbabilityFiles::path_of(const std::string& output, int64_t k) {
  const std::string stem = image_stem(output);
  const std::filesystem::path path(output);
  const std::string ending = path.filename().string().substr(stem.size());
  return (path.parent_path() / concat(stem, "_class", k, ending)).string();
}

ProbabilityFiles::ProbabilityFiles(const std::string& output, int64_t classes, const Geometry& grid,
                                   int64_t first)
    : output_(output), grid_(grid), first_(first) {
  for (int64_t k = 0; k < classes; ++k) {
    const std::string path = path_of(output, first_ + k) + ".part";
    std::FILE* file = std::fopen(path.c_str(), "w+b");
    require(file != nullptr, path, ": cannot be written: ", std::strerror(errno));
    waiting_.emplace_back(file, Remove{path});
  }
}

void ProbabilityFiles::add(const torch::Tensor& p_KXY) {
  const auto bytes_KYX = (p_KXY * 255).round().clamp(0, 255).to(torch::kUInt8).transpose(1, 2).contiguous();
  const auto plane = static_cast<size_t>(grid_.size[0] * grid_.size[1]);
  require(bytes_KYX.numel() == static_cast<int64_t>(plane * waiting_.size()),
          "probabilities: a slice of another size");
  const auto* bytes = bytes_KYX.data_ptr<uint8_t>();
  for (size_t k = 0; k < waiting_.size(); ++k)
    require(std::fwrite(bytes + k * plane, 1, plane, waiting_[k].get()) == plane,
            path_of(output_, first_ + int64_t(k)), ": cannot be written: ", std::strerror(errno));
}

void ProbabilityFiles::write() {
  for (size_t k = 0; k < waiting_.size(); ++k) {
    const std::string path = path_of(output_, first_ + static_cast<int64_t>(k));
    std::vector<uint8_t> voxels(static_cast<size_t>(grid_.voxel_count()));
    std::rewind(waiting_[k].get());
    require(std::fread(voxels.data(), 1, voxels.size(), waiting_[k].get()) == voxels.size(), path,
            ": slices are missing");
    write_image(path, {grid_, std::move(voxels)});
  }
}

}  // namespace mambaseg

#include "mambaseg/infer/probability_files.h"

#include <filesystem>

#include "mambaseg/core/error.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/image.h"

namespace mambaseg {

std::string ProbabilityFiles::path_of(const std::string& output, int64_t k) {
  const std::string stem = image_stem(output);
  const std::filesystem::path path(output);
  const std::string ending = path.filename().string().substr(stem.size());
  return (path.parent_path() / concat(stem, "_class", k, ending)).string();
}

ProbabilityFiles::ProbabilityFiles(const std::string& output, int64_t classes, const Geometry& grid,
                                   int64_t first)
    : output_(output), grid_(grid), first_(first) {
  const std::filesystem::path folder = std::filesystem::path(output).parent_path();
  for (int64_t k = 0; k < classes; ++k)
    waiting_.push_back(scratch_file(folder.empty() ? "." : folder.string()));
}

void ProbabilityFiles::add(const torch::Tensor& p_KXY) {
  const auto bytes_KYX = (p_KXY * 255).round_().clamp_(0, 255).to(torch::kUInt8).transpose(1, 2).contiguous();
  const auto plane = static_cast<size_t>(grid_.size[0] * grid_.size[1]);
  require(bytes_KYX.numel() == static_cast<int64_t>(plane * waiting_.size()),
          "probabilities: a slice of another size");
  const auto* bytes = bytes_KYX.data_ptr<uint8_t>();
  for (size_t k = 0; k < waiting_.size(); ++k)
    with_context("cannot write " + path_of(output_, first_ + static_cast<int64_t>(k)),
                 [&] { waiting_[k].write(bytes + k * plane, plane); });
}

void ProbabilityFiles::write() {
  for (size_t k = 0; k < waiting_.size(); ++k) {
    const std::string path = path_of(output_, first_ + static_cast<int64_t>(k));
    std::vector<uint8_t> voxels(static_cast<size_t>(grid_.voxel_count()));
    with_context(path, [&] { waiting_[k].read_at(0, voxels.data(), voxels.size()); });
    write_image(path, {grid_, std::move(voxels)});
  }
}

}  // namespace mambaseg

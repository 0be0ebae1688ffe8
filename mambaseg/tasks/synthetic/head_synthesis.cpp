#include "mambaseg/tasks/synthetic/head_synthesis.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "mambaseg/core/error.h"
#include "mambaseg/core/quick_normals.h"
#include "mambaseg/data/intensity.h"
#include "mambaseg/data/label_scheme.h"
#include "mambaseg/data/rotation.h"
#include "mambaseg/data/sides.h"
#include "mambaseg/tasks/synthetic/axis_map.h"
#include "mambaseg/tasks/synthetic/scanner.h"
#include "mambaseg/tasks/volumes/augment.h"

namespace mambaseg {
namespace {

constexpr double kRaggedSpacingMm = 10;   ///< over which the border of what was stripped varies
constexpr double kPreviewVoxels = 60000;  ///< of which about 60 are the brightest 0.1 %

void check_range(const char* name, const std::vector<double>& range) {
  if (range.size() != 2 || range[0] > range[1])
    throw UsageError(
        concat("setting synthesis.", name, ": expected a smallest and a largest value, for example [1, 2]"));
}

/// The first and the last index along each axis where `chosen` says yes; nothing when nowhere.
template <class Chosen>
std::optional<std::array<Index3, 2>> extent(const torch::Tensor& labels_IJK, const Chosen& chosen) {
  const Index3 n{labels_IJK.size(0), labels_IJK.size(1), labels_IJK.size(2)};
  std::array<Index3, 2> out{n, Index3{-1, -1, -1}};
  const auto* at = labels_IJK.data_ptr<uint8_t>();
  for (int64_t i = 0; i < n[0]; ++i)
    for (int64_t j = 0; j < n[1]; ++j)
      for (int64_t k = 0; k < n[2]; ++k, ++at) {
        if (!chosen(*at)) continue;
        const Index3 x{i, j, k};
        for (int a = 0; a < 3; ++a) {
          out[0][a] = std::min(out[0][a], x[a]);
          out[1][a] = std::max(out[1][a], x[a]);
        }
      }
  if (out[1][0] < 0) return std::nullopt;
  return out;
}

int64_t voxels_of(const Lattice& lattice) { return lattice.size[0] * lattice.size[1] * lattice.size[2]; }

}  // namespace

HeadSynthesis::HeadSynthesis(const HeadLabelMap& map, const SynthesisSettings& settings, const Plan& plan)
    : map_(map),
      settings_(settings),
      tissues_(tissues_of(settings)),
      whole_{map.labels_IJK.size(0), map.labels_IJK.size(1), map.labels_IJK.size(2)} {
  check_range("elastic_spacing_mm", settings.elastic_spacing_mm);
  check_range("patches_mm", settings.patches_mm);
  check_range("t1_contrast", settings.t1_contrast);
  check_range("blur_voxels", settings.blur_voxels);
  if (plan.patch.size() != 3) throw UsageError("setting plan.patch: synthesis needs three edges");
  if (plan.classes.empty())
    throw UsageError(
        "setting plan.classes: synthesis needs the structures to learn, by FreeSurfer's numbers");
  std::copy(plan.patch.begin(), plan.patch.end(), patch_.begin());

  const int side_axis = left_right_axis(map.orientation);
  for (int a = 0; a < 3; ++a) {
    mirror_[a][a] = a == side_axis ? -1 : 1;
    const char direction = map.orientation[static_cast<size_t>(a)];
    if (direction != 'I' && direction != 'S') continue;
    neck_axis_ = a;
    neck_sign_ = direction == 'I' ? 1 : -1;
  }
  const LabelScheme scheme(plan);
  const std::vector<HeadLabel>& labels = head_labels();
  for (size_t index = 0; index < labels.size(); ++index) {
    class_of_[0][index] = std::max<int64_t>(0, scheme.class_of(labels[index].number));
    class_of_[1][index] = std::max<int64_t>(0, scheme.class_of(labels[index].mirrored));
  }
  const auto structures = extent(map.labels_IJK, [&](uint8_t label) { return class_of_[0][label] != 0; });
  require(structures.has_value(), "label map: none of the structures of plan.classes occurs");
  for (int a = 0; a < 3; ++a)
    centre_[a] = settings.place == "head"
                     ? 0.5 * static_cast<double>(whole_[a] - 1)
                     : 0.5 * static_cast<double>((*structures)[0][a] + (*structures)[1][a]);
  const auto brain = extent(map.labels_IJK, [&](uint8_t label) {
    return tissues_[static_cast<size_t>(labels[label].tissue)].place == TissuePlace::brain;
  });
  if (brain) brain_end_ = neck_sign_ * static_cast<double>((*brain)[neck_sign_ > 0 ? 1 : 0][neck_axis_]);
}

SmoothField HeadSynthesis::field_over(const Lattice& lattice, double spacing_mm, bool and_head,
                                      Random& random) const {
  Vector3 low, high;
  for (int a = 0; a < 3; ++a) {
    low[a] = lattice.at(a, 0);
    high[a] = lattice.at(a, lattice.size[a] - 1);
    if (!and_head) continue;
    low[a] = std::min(low[a], 0.0);
    high[a] = std::max(high[a], static_cast<double>(whole_[a] - 1));
  }
  return SmoothField(low, high, spacing_mm / map_.voxel_mm, random);
}

HeadSynthesis::Pose HeadSynthesis::draw_pose(const Lattice& patch, Random& random) const {
  Pose pose;
  pose.flipped = random.coin(settings_.flip);
  const double limit = settings_.rotation_degrees * std::numbers::pi / 180;
  pose.matrix = rotation(0, random.uniform(-limit, limit));
  for (int a = 1; a < 3; ++a) pose.matrix = product(pose.matrix, rotation(a, random.uniform(-limit, limit)));
  Matrix3 stretch{};
  for (int a = 0; a < 3; ++a)
    for (int b = 0; b < 3; ++b)
      stretch[a][b] = a == b ? 1 / (1 + random.uniform(-settings_.scaling, settings_.scaling))
                             : random.uniform(-settings_.shear, settings_.shear);
  pose.matrix = product(pose.matrix, stretch);
  if (pose.flipped) pose.matrix = product(mirror_, pose.matrix);

  const double strain = random.uniform(0, settings_.elastic_strain);
  const double spacing_mm = uniform_in(settings_.elastic_spacing_mm, random);
  pose.displacement = strain * spacing_mm / map_.voxel_mm / SmoothField::kSlope;
  if (settings_.elastic_strain > 0)
    for (int a = 0; a < 3; ++a) pose.elastic.push_back(field_over(patch, spacing_mm, false, random));

  pose.neck_end = std::numeric_limits<double>::infinity();
  if (random.coin(settings_.neck_cut)) {
    const double image_end = neck_sign_ > 0 ? static_cast<double>(whole_[neck_axis_] - 1) : 0;
    pose.neck_end = random.uniform(brain_end_, std::max(brain_end_, image_end) + 1);
  }
  return pose;
}

HeadSynthesis::Rendered HeadSynthesis::render(const Lattice& lattice, const Pose& pose,
                                              const HeadLooks& looks, const SmoothField& bias,
                                              const SmoothField* patches, Random& random) const {
  Rendered out;
  out.image.resize(static_cast<size_t>(voxels_of(lattice)));
  out.labels.resize(out.image.size());
  FieldRows bias_rows(bias, lattice);
  std::optional<FieldRows> patch_rows;
  if (patches) patch_rows.emplace(*patches, lattice);
  std::vector<FieldRows> elastic_rows;
  // The preview has no patches. It is not deformed, and nothing varies from voxel to voxel, which blur levels
  // out: only how often each brightness occurs matters there.
  if (patches)
    for (const SmoothField& field : pose.elastic) elastic_rows.emplace_back(field, lattice);
  QuickNormals normals(random);

  const auto* labels = map_.labels_IJK.data_ptr<uint8_t>();
  const auto n0 = static_cast<int>(whole_[0]), n1 = static_cast<int>(whole_[1]),
             n2 = static_cast<int>(whole_[2]);
  const auto neck_end = static_cast<float>(pose.neck_end), neck_sign = static_cast<float>(neck_sign_);
  const auto displacement = static_cast<float>(pose.displacement), strength = static_cast<float>(looks.bias);
  const std::vector<float> zeros(static_cast<size_t>(lattice.size[2]));
  size_t at = 0;
  for (int64_t i = 0; i < lattice.size[0]; ++i)
    for (int64_t j = 0; j < lattice.size[1]; ++j) {
      const Vector3 x{lattice.at(0, i) - centre_[0], lattice.at(1, j) - centre_[1],
                      lattice.at(2, 0) - centre_[2]};
      std::array<float, 3> begin, step;
      std::array<const float*, 3> moved{zeros.data(), zeros.data(), zeros.data()};
      for (size_t a = 0; a < 3; ++a) {
        const Vector3& row = pose.matrix[a];
        begin[a] = static_cast<float>(centre_[a] + row[0] * x[0] + row[1] * x[1] + row[2] * x[2]);
        step[a] = static_cast<float>(row[2] * lattice.step);
        if (!elastic_rows.empty()) moved[a] = elastic_rows[a].row(i, j);
      }
      const float* bias_row = bias_rows.row(i, j);
      const float* patch_row = patch_rows ? patch_rows->row(i, j) : nullptr;
      for (int64_t k = 0; k < lattice.size[2]; ++k, ++at) {
        std::array<float, 3> place;
        for (size_t a = 0; a < 3; ++a)
          place[a] = begin[a] + static_cast<float>(k) * step[a] + displacement * moved[a][k];
        const int p0 = static_cast<int>(place[0] + 1.5f) - 1, p1 = static_cast<int>(place[1] + 1.5f) - 1,
                  p2 = static_cast<int>(place[2] + 1.5f) - 1;
        const bool inside = p0 >= 0 && p0 < n0 && p1 >= 0 && p1 < n1 && p2 >= 0 && p2 < n2;
        uint8_t label = inside ? labels[(static_cast<int64_t>(p0) * n1 + p1) * n2 + p2] : uint8_t{0};
        if (neck_sign * place[static_cast<size_t>(neck_axis_)] > neck_end)
          label = static_cast<uint8_t>(HeadLooks::kOutside);
        float value = looks.mean[label];
        value += patches ? looks.patches[label] * patch_row[k] + looks.grain[label] * normals.next()
                         : looks.patches[label] * normals.next();
        out.labels[at] = label;
        out.image[at] = std::max(0.0f, value) * std::exp(strength * bias_row[k]);
      }
    }
  return out;
}

/// 1 where the image is measured, 0 where it is made 0; empty when it is measured everywhere.
std::vector<float> HeadSynthesis::mask_of(const std::vector<uint8_t>& labels, const Lattice& lattice,
                                          const HeadLooks& looks, Random& random) const {
  std::vector<float> mask(labels.size(), 1.0f);
  if (looks.masked) {
    Index3 size = lattice.size;
    for (size_t v = 0; v < mask.size(); ++v) mask[v] = looks.core[labels[v]] ? 1.0f : 0.0f;
    for (int a = 0; a < 3; ++a)
      apply_along(a, measuring(size[a], 1, 1, looks.mask_blur_mm / map_.voxel_mm, 0), size, mask);
    const SmoothField ragged = field_over(lattice, kRaggedSpacingMm, false, random);
    FieldRows rows(ragged, lattice);
    size_t at = 0;
    for (int64_t i = 0; i < size[0]; ++i)
      for (int64_t j = 0; j < size[1]; ++j) {
        const float* row = rows.row(i, j);
        for (int64_t k = 0; k < size[2]; ++k, ++at) {
          const double limit = std::max(0.02, looks.mask_threshold + looks.mask_raggedness * row[k]);
          mask[at] = mask[at] >= limit ? 1.0f : 0.0f;
        }
      }
  }
  bool any = looks.masked;
  for (size_t v = 0; v < mask.size(); ++v)
    if (looks.outside[labels[v]]) mask[v] = 0, any = true;
  if (!any) mask.clear();
  return mask;
}

Sample HeadSynthesis::draw(Random random) const {
  Lattice patch{{}, 1, patch_};
  for (int a = 0; a < 3; ++a)
    patch.first[a] = centre_[a] - 0.5 * static_cast<double>(patch_[a] - 1) +
                     random.uniform(-settings_.jitter_mm, settings_.jitter_mm) / map_.voxel_mm;
  const Pose pose = draw_pose(patch, random);
  const HeadLooks looks = draw_looks(settings_, tissues_, random);
  const SmoothField bias = field_over(patch, settings_.bias_spacing_mm, true, random);

  Lattice preview;
  preview.step =
      std::max(1.0, std::cbrt(static_cast<double>(whole_[0] * whole_[1] * whole_[2]) / kPreviewVoxels));
  for (int a = 0; a < 3; ++a)
    preview.size[a] = 1 + static_cast<int64_t>(static_cast<double>(whole_[a] - 1) / preview.step);
  Rendered head = render(preview, pose, looks, bias, nullptr, random);
  QuickNormals normals(random);
  for (size_t v = 0; v < head.image.size(); ++v) {
    const bool measured = !looks.outside[head.labels[v]] && !(looks.masked && !looks.core[head.labels[v]]);
    head.image[v] =
        measured ? std::max(0.0f, head.image[v] + static_cast<float>(looks.noise) * normals.next()) : 0.0f;
  }
  head.image.push_back(0);  // the grid of the network is larger than what was measured
  const IntensityRange range = robust_range(head.image);

  const SmoothField patches = field_over(patch, uniform_in(settings_.patches_mm, random), false, random);
  Rendered rendered = render(patch, pose, looks, bias, &patches, random);
  scan(rendered.image, mask_of(rendered.labels, patch, looks, random), patch_, map_.voxel_mm,
       {looks.noise, looks.rician}, settings_, random);

  Sample out;
  out.image = torch::empty({1, patch_[0], patch_[1], patch_[2]}, torch::kFloat32);
  out.classes = torch::empty({patch_[0], patch_[1], patch_[2]}, torch::kInt64);
  auto* image = out.image.data_ptr<float>();
  auto* classes = out.classes.data_ptr<int64_t>();
  const auto& class_of = class_of_[pose.flipped ? 1 : 0];
  const auto scale = static_cast<float>(range.scale), low = static_cast<float>(range.low);
  for (size_t v = 0; v < rendered.image.size(); ++v) {
    image[v] = std::nearbyint(std::clamp(scale * (rendered.image[v] - low), 0.0f, 255.0f)) / 255.0f;
    classes[v] = class_of[rendered.labels[v]];
  }
  return out;
}

}  // namespace mambaseg

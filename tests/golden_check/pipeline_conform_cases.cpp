#include <filesystem>

#include "mambaseg/data/conform.h"
#include "mambaseg/data/intensity.h"
#include "mambaseg/data/interpolate.h"
#include "mambaseg/data/preprocess.h"
#include "mambaseg/io/image.h"
#include "tests/golden_check/pipeline_findings.h"

namespace mambaseg {
namespace {

constexpr double kMoved = 1e-3;  // fraction of voxels that rounding at .5 may move by one

/// float32(raw) * float32(scale) + float32(offset), as an image file would hold it.
Image image_of(const GoldenCase& golden) {
  const torch::Tensor& raw = golden.at("input.raw_u8");
  const Geometry geometry = geometry_of({raw.size(0), raw.size(1), raw.size(2)}, golden.at("input.affine"));
  const auto values =
      raw.to(torch::kFloat32) * golden.args.at("scale").get<float>() + golden.args.at("offset").get<float>();
  return {geometry, volume_from_tensor(values, geometry).voxels};
}

torch::Tensor range_tensor(const IntensityRange& range) {
  return torch::tensor({range.low, range.scale}, torch::kFloat64);
}

void compare_range(PipelineFindings& found, const torch::Tensor& expected, const IntensityRange& range) {
  found.near("low end", expected[0], range_tensor(range)[0], 1e-6 * (1 + std::abs(range.low)));
  found.near("scale", expected[1], range_tensor(range)[1], 1e-6 * range.scale);
}

/// `prefix`shape, affine, sub, hist and csum of a conformed volume.
void compare_conformed(PipelineFindings& found, const GoldenCase& golden, const std::string& prefix,
                       const Volume<float>& conformed) {
  const auto output = [&](const std::string& name) -> const torch::Tensor& {
    return golden.at("output." + prefix + name);
  };
  const torch::Tensor values = tensor_from_volume(conformed).to(torch::kInt64);
  found.equal(prefix + "shape", output("shape"), size_tensor(conformed.geometry.size));
  found.near(prefix + "affine", output("affine"), affine_tensor(conformed.geometry.voxel_to_ras_mm), 1e-9);
  found.mostly_equal(prefix + "sub", output("sub"), every(values, index3(golden.args.at("stride"))), kMoved,
                     prefix == "nearest_" ? 1e300 : 1);
  found.histogram(prefix + "hist", output("hist"), byte_histogram(values), kMoved);
  const auto moved = (output("csum") - checksum(values)).abs() / (output("csum") + 1).to(torch::kFloat64);
  found.near(prefix + "csum", torch::zeros_like(moved), moved, kMoved);
}

/// The official is_conform says yes as soon as one axis fits (pitfall i).
void compare_is_conformed(PipelineFindings& found, const torch::Tensor& expected, const Geometry& geometry) {
  if (expected.item<int64_t>() == static_cast<int64_t>(is_conformed(geometry))) return;
  const Vector3 spacing = geometry.spacing_mm();
  bool one_fits = false;
  for (const double s : spacing) one_fits = one_fits || std::abs(s - 1) < 1e-3;
  found.require(expected.item<int64_t>() == 1 && one_fits, "is_conform differs");
  found.differs("i");
}

torch::Tensor rescaled_bytes(const torch::Tensor& values, const IntensityRange& range) {
  return ((values.to(torch::kFloat64) - range.low) * range.scale).clamp(0, 255);
}

}  // namespace

GoldenResult check_conform_file(const GoldenCase& golden) {
  PipelineFindings found;
  // Where it lay on the machine that made the file, or else among the templates of this one.
  std::filesystem::path path = golden.args.at("image").get<std::string>();
  if (!std::filesystem::exists(path)) path = MAMBASEG_TEMPLATES / path.filename();
  const Image image = read_image(path.string());
  const Volume<float> conformed = freesurfer_conform(image, 1);
  compare_conformed(found, golden, "", conformed);
  const auto as_double =
      std::visit([](const auto& raw) { return std::vector<double>(raw.begin(), raw.end()); }, image.voxels);
  compare_range(found, golden.at("output.getscale_on_fdata"), robust_range(as_double));
  compare_is_conformed(found, golden.at("output.is_conform_in_out")[0], image.geometry);
  compare_is_conformed(found, golden.at("output.is_conform_in_out")[1], conformed.geometry);
  const auto again =
      rescaled_bytes(torch::tensor(as_double, torch::kFloat64), robust_range(as_double)).round();
  found.histogram("rescaled_hist", golden.at("output.rescaled_hist"), byte_histogram(again), kMoved);
  return found.result();
}

GoldenResult check_conform_array(const GoldenCase& golden) {
  PipelineFindings found;
  const Image image = image_of(golden);
  const auto& raw = std::get<std::vector<float>>(image.voxels);
  const IntensityRange range = robust_range(raw);
  compare_range(found, golden.at("output.getscale"), range);
  compare_is_conformed(found, golden.at("output.is_conform"), image.geometry);
  compare_conformed(found, golden, "1mm_", freesurfer_conform(image, 1));
  compare_conformed(found, golden, "nearest_", freesurfer_conform(image, 0));
  Volume<float> source;
  source.geometry = image.geometry;
  source.voxels = raw;
  const auto scaled = rescaled_bytes(tensor_from_volume(source), range);
  found.near("rescale_sub", golden.at("output.rescale_sub"), every(scaled, {7, 7, 7}), 1e-3);
  found.histogram("rescale_u8_hist", golden.at("output.rescale_u8_hist"), byte_histogram(scaled.round()),
                  kMoved);
  return found.result();
}

GoldenResult check_nibabel_conform(const GoldenCase& golden) {
  const Index3 kLabelSize{100, 90, 110};  // the size that the reference script asks for
  PipelineFindings found;
  const Image image = image_of(golden);
  const Index3& n = image.geometry.size;
  const Index3 size =
      image.geometry.orientation() == "RAS" ? Index3{n[0], n[2], n[1]} : Index3{256, 256, 256};
  const Geometry grid = nibabel_grid(image.geometry, size, {1, 1, 1}, "LIA");
  found.near("affine", golden.at("output.affine"), affine_tensor(grid.voxel_to_ras_mm), 1e-9);

  Volume<float> source;
  source.geometry = image.geometry;
  source.voxels = std::get<std::vector<float>>(image.voxels);
  const Sampler sampler(source, 3);
  Volume<float> cubic(grid);
  resample(sampler, voxel_map(grid, source.geometry), grid.size,
           [&](size_t index, double value) { cubic.voxels[index] = static_cast<float>(value); });
  const torch::Tensor values = tensor_from_volume(cubic);
  const Index3 stride = index3(golden.args.at("stride"));
  const torch::Tensor& expected = golden.at("output.sub");
  found.near("sub", expected, every(values, {stride[0] + 4, stride[1] + 4, stride[2] + 4}, 1),
             1e-4 * golden.at("output.stat")[1].item<double>());
  const auto statistics =
      torch::stack({values.min(), values.max(), values.mean(torch::kFloat64)}).to(torch::kFloat64);
  found.near("stat", golden.at("output.stat"), statistics, 1e-4 * golden.at("output.stat")[1].item<double>());
  // The official bytes, whose background is not 0 where the spline undershoots.
  const IntensityRange range = robust_range(cubic.voxels);
  const auto bytes = rescaled_bytes(values, range).round();
  found.mostly_equal("u8_sub", golden.at("output.u8_sub"), every(bytes, stride), kMoved, 1);
  found.histogram("u8_hist", golden.at("output.u8_hist"), byte_histogram(bytes), kMoved);
  if (rescaled(0, range) > 0.5) {
    found.differs("b");
    Plan plan;
    plan.conform = "millimetre";
    plan.conform_order = 3;
    const auto ours = prepare_image(image, plan).image;
    const Affine to_source = voxel_map(ours.geometry, image.geometry);
    Volume<float> outside(ours.geometry);
    resample(
        Sampler(Volume<float>(image.geometry, 1), 0), to_source, ours.geometry.size,
        [&](size_t index, double inside) { outside.voxels[index] = inside == 0 ? ours.voxels[index] : 0; });
    found.equal("background", torch::zeros({}), tensor_from_volume(outside).abs().max());
  }

  const Geometry label_grid = nibabel_grid(image.geometry, kLabelSize, {1, 1, 1}, "RAS");
  found.near("label_affine", golden.at("output.label_affine"), affine_tensor(label_grid.voxel_to_ras_mm),
             1e-9);
  const torch::Tensor raw = golden.at("input.raw_u8").to(torch::kInt64);
  const Volume<float> label_source = volume_from_tensor(raw.div(50, "floor"), image.geometry);
  const Sampler nearest(label_source, 0);
  Volume<float> labels(label_grid);
  resample(nearest, voxel_map(label_grid, image.geometry), label_grid.size,
           [&](size_t index, double value) { labels.voxels[index] = static_cast<float>(value); });
  found.mostly_equal("label_sub", golden.at("output.label_sub"), every(tensor_from_volume(labels), {4, 4, 4}),
                     kMoved);
  return found.result();
}

}  // namespace mambaseg

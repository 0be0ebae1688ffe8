// NIfTI-1 and NIfTI-2 in one file or as a pair, either byte order, packed or not.
//
// Headers, type codes, header swapping and quaternions are libnifti's. Its file reader is not used: it prints
// to stderr, guesses other file names, turns sizes below 1 into 1 and voxels that are NaN into 0. Which of
// the two matrices counts and how the header's scaling applies follows nibabel.

#include <nifti2_io.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>

#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/byte_file.h"
#include "mambaseg/io/formats.h"
#include "mambaseg/io/narrow_labels.h"
#include "mambaseg/io/nifti_channels.h"

namespace mambaseg {
namespace {

constexpr size_t kExtensionBytes = 4;  // behind the header of a single file, whether extensions follow or not
constexpr size_t kLabelBytes = size_t{1} << 20;  // narrowed and packed while they are in the cache
constexpr double kQuaternionRounding = 1e-3;
constexpr double kLargestVoxelMm = 100;  // metres that lead to larger ones are a slip of the writer

/// What the two header versions have in common, in host byte order.
struct Header {
  int version = 0;
  bool swapped = false;
  std::vector<int64_t> sizes;
  bool sizes_repaired = false;
  int type = 0;
  std::array<double, 4> pixdim{};
  double slope = 0, offset = 0;
  double voxels_at = 0;
  int units = 0;
  int sform_code = 0, qform_code = 0;
  std::array<std::array<double, 4>, 3> sform{};
  std::array<double, 3> quaternion{}, qoffset{};
};

template <class FileHeader>
Header common_header(const FileHeader& h, int version, bool swapped) {
  Header out;
  out.version = version;
  out.swapped = swapped;
  const auto axes = static_cast<int64_t>(h.dim[0]);
  require(axes >= 1 && axes <= 7, "the NIfTI header announces ", axes, " axes; expected 1 to 7");
  out.sizes.assign(h.dim + 1, h.dim + 1 + axes);
  for (size_t axis = 2; axis < out.sizes.size(); ++axis)  // as libnifti does
    if (out.sizes[axis] <= 0) {
      out.sizes[axis] = 1;
      out.sizes_repaired = true;
    }
  while (out.sizes.size() > 3 && out.sizes.back() == 1) out.sizes.pop_back();
  out.type = h.datatype;
  for (int i = 0; i < 4; ++i) out.pixdim[i] = h.pixdim[i];
  out.slope = h.scl_slope;
  out.offset = h.scl_inter;
  out.voxels_at = static_cast<double>(h.vox_offset);
  out.units = h.xyzt_units & 7;
  out.sform_code = h.sform_code;
  out.qform_code = h.qform_code;
  for (int i = 0; i < 4; ++i) {
    out.sform[0][i] = h.srow_x[i];
    out.sform[1][i] = h.srow_y[i];
    out.sform[2][i] = h.srow_z[i];
  }
  out.quaternion = {h.quatern_b, h.quatern_c, h.quatern_d};
  out.qoffset = {h.qoffset_x, h.qoffset_y, h.qoffset_z};
  return out;
}

Header read_header(ByteReader& file) {
  nifti_1_header first{};
  file.read(&first, sizeof first.sizeof_hdr, "the NIfTI header");
  int size = first.sizeof_hdr;
  const bool swapped = size != 348 && size != 540;
  if (swapped) nifti_swap_4bytes(1, &size);
  require(size == 348 || size == 540, "this is not a NIfTI file (its header size is neither 348 nor 540)");
  const auto read_rest = [&file, &first](auto& header) {
    std::memcpy(&header, &first.sizeof_hdr, sizeof first.sizeof_hdr);
    file.read(reinterpret_cast<char*>(&header) + sizeof first.sizeof_hdr,
              sizeof header - sizeof first.sizeof_hdr, "the NIfTI header");
  };
  if (size == 540) {
    nifti_2_header second{};
    read_rest(second);
    require(second.magic[0] == 'n' && second.magic[2] == '2', "this is not a NIfTI file (no magic word)");
    if (swapped) nifti_swap_as_nifti2(&second);
    return common_header(second, 2, swapped);
  }
  read_rest(first);
  require(first.magic[0] == 'n' && first.magic[2] == '1',
          "this is an Analyze 7.5 file, whose header does not say where left is; convert it to NIfTI first");
  if (swapped) nifti_swap_as_nifti1(&first);
  return common_header(first, 1, swapped);
}

/// False for a quaternion that is longer than rounding explains, or no number.
bool is_rotation(const Header& h) {
  const auto [x, y, z] = h.quaternion;
  return x * x + y * y + z * z < 1 + kQuaternionRounding;
}

/// nibabel's quat2mat and get_qform; of a quaternion too long by rounding the direction counts, as in
/// libnifti.
Affine qform(const Header& h) {
  const auto [x, y, z] = h.quaternion;
  require(is_rotation(h), "the qform of the header is no rotation (quaternion ", x, ", ", y, ", ", z, ")");
  const double epsilon =
      h.version == 1 ? std::numeric_limits<float>::epsilon() : std::numeric_limits<double>::epsilon();
  const double w2 = 1 - (x * x + y * y + z * z);
  const double w = w2 < 3 * epsilon ? 0 : std::sqrt(w2);
  const double s = 2 / (w * w + x * x + y * y + z * z);
  Affine out;
  out.matrix = {{{1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)},
                 {s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)},
                 {s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)}}};
  const double handedness = h.pixdim[0] < 0 ? -1 : 1;
  for (int row = 0; row < 3; ++row) {
    out.matrix[row][0] *= h.pixdim[1];
    out.matrix[row][1] *= h.pixdim[2];
    out.matrix[row][2] *= h.pixdim[3] * handedness;
  }
  out.offset = h.qoffset;
  return out;
}

Affine sform(const Header& h) {
  Affine out;
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column) out.matrix[row][column] = h.sform[row][column];
    out.offset[row] = h.sform[row][3];
  }
  return out;
}

/// The greatest distance between where two maps put a corner of the grid.
double distance(const Affine& a, const Affine& b, const Index3& size) {
  double worst = 0;
  for (int corner = 0; corner < 8; ++corner) {
    Vector3 voxel{};
    for (int axis = 0; axis < 3; ++axis)
      voxel[axis] = (corner >> axis & 1) != 0 ? static_cast<double>(size[axis] - 1) : 0;
    const Vector3 at_a = a(voxel), at_b = b(voxel);
    worst = std::max(worst, std::hypot(at_a[0] - at_b[0], at_a[1] - at_b[1], at_a[2] - at_b[2]));
  }
  return worst;
}

/// nibabel's get_best_affine: the sform, else the qform, else the spacing with x to the left and the middle
/// at 0. A sform that cannot place voxels gives way to a qform.
Affine best_affine(Header h, const Index3& size, const Warn& warn) {
  const auto tell = [&warn](const std::string& line) {
    if (warn) warn(line);
  };
  const double determinant = sform(h).determinant();
  const bool has_sform =
      h.sform_code > 0 && ((std::isfinite(determinant) && determinant != 0) || h.qform_code <= 0);
  if (h.sform_code > 0 && !has_sform)
    tell("the sform of the header is singular or holds no numbers; its qform is taken");
  for (int axis = 1; axis <= 3; ++axis) {
    const bool bad = h.pixdim[axis] == 0 || !std::isfinite(h.pixdim[axis]);
    if (bad && !has_sform)
      tell(concat("the header gives the spacing ", h.pixdim[axis], " along axis ", axis, "; 1 mm is taken"));
    h.pixdim[axis] = bad ? 1 : std::abs(h.pixdim[axis]);
  }
  if (has_sform) {
    // Codes that differ are two places, of the scanner and of an atlas; those of one code should be one.
    const double apart =
        h.qform_code == h.sform_code && is_rotation(h) ? distance(sform(h), qform(h), size) : 0;
    if (apart > 0.5 * std::min({h.pixdim[1], h.pixdim[2], h.pixdim[3]}))
      tell(
          concat("the sform and the qform of the header differ by up to ", apart, " mm; the sform is taken"));
    return sform(h);
  }
  if (h.qform_code > 0) return qform(h);
  tell("the header says nothing about orientation; the first axis is taken to run from right to left");
  Affine out;
  for (int axis = 0; axis < 3; ++axis) {
    const double step = axis == 0 ? -h.pixdim[1] : h.pixdim[axis + 1];
    out.matrix[axis][axis] = step;
    out.offset[axis] = -0.5 * static_cast<double>(size[axis] - 1) * step;
  }
  return out;
}

/// Brings lengths in metres or microns to mm.
void apply_units(int units, Geometry& geometry, const Warn& warn) {
  const double mm = units == NIFTI_UNITS_METER ? 1000 : units == NIFTI_UNITS_MICRON ? 1e-3 : 1;
  if (mm == 1) return;
  const Vector3 spacing = geometry.spacing_mm();
  const bool plausible = mm * std::max({spacing[0], spacing[1], spacing[2]}) <= kLargestVoxelMm;
  if (warn)
    warn(concat(
        "the header gives lengths in ", units == NIFTI_UNITS_METER ? "metres" : "microns",
        plausible ? "; they are brought to mm" : ", in which the voxels would be too large; mm are taken"));
  if (!plausible) return;
  for (int row = 0; row < 3; ++row) {
    geometry.voxel_to_ras_mm.offset[row] *= mm;
    for (double& value : geometry.voxel_to_ras_mm.matrix[row]) value *= mm;
  }
}

/// NIfTI's codes of the number types, in the order of VoxelData.
constexpr std::array<int, 10> kCodes{DT_UINT8, DT_INT8,   DT_UINT16, DT_INT16,   DT_UINT32,
                                     DT_INT32, DT_UINT64, DT_INT64,  DT_FLOAT32, DT_FLOAT64};

/// The place in VoxelData of a type that is read.
size_t type_of(int code) {
  require(code != DT_COMPLEX64 && code != DT_COMPLEX128 && code != DT_COMPLEX256,
          "the voxels are complex numbers; expected one real number a voxel");
  require(code != DT_RGB24 && code != DT_RGBA32, "the voxels are RGB colours; expected one number a voxel");
  const auto found = std::find(kCodes.begin(), kCodes.end(), code);
  require(found != kCodes.end(), "voxels of type ", nifti_datatype_string(code), " (NIfTI code ", code,
          ") are not read; save them as whole numbers of 8 to 64 bits, float32 or float64");
  return static_cast<size_t>(found - kCodes.begin());
}

/// The header or the voxels of a pair, by the name of either: "hdr" or "img" in the case of the name.
std::string with_ending(const std::string& path, const char* ending) {
  const size_t behind = lower_ending(path) == ".gz" ? 3 : 0;
  std::string out = path;
  const size_t at = out.size() - behind - 3;
  const bool large = std::isupper(static_cast<unsigned char>(out[at])) != 0;
  for (size_t i = 0; i < 3; ++i)
    out[at + i] = large ? static_cast<char>(std::toupper(static_cast<unsigned char>(ending[i]))) : ending[i];
  return out;
}

/// The file of a pair with that ending, packed or not, whichever is there.
std::string half_of_pair(const std::string& path, const char* ending) {
  const std::string near = with_ending(path, ending);
  const bool packed = lower_ending(near) == ".gz";
  const std::string other = packed ? near.substr(0, near.size() - 3) : near + ".gz";
  if (std::filesystem::exists(near)) return near;
  if (std::filesystem::exists(other)) return other;
  throw Error(concat("the file with the ", ending == std::string("hdr") ? "header" : "voxels", ", ",
                     std::filesystem::path(near).filename().string(), ", is missing beside it"));
}

bool is_pair(const std::string& path) {
  const ImageFormat* format = format_of_name(path);
  return format != nullptr && std::string(format->name).starts_with("NIfTI pair");
}

/// Of the scaling that is applied, else 0.
double step_of(const Header& header) {
  const bool scaled = std::isfinite(header.slope) && (header.slope != 1 || header.offset != 0);
  return scaled ? std::abs(header.slope) : 0;
}

VoxelData read_voxels(ByteReader& file, const Header& header, size_t count) {
  const double slope = header.slope;
  const bool scale = slope != 0 && std::isfinite(slope);
  require(!scale || std::isfinite(header.offset), "the header scales voxels by ", slope, " and adds ",
          header.offset);
  const size_t type = type_of(header.type), size = bytes_of(voxels_of_type(type, 1)).size();
  file.expect(count * size, "the voxel data");
  VoxelData voxels = voxels_of_type(type, count);
  file.read(bytes_of(voxels).data(), count * size, "the voxel data");
  file.finish();
  if (header.swapped) swap_bytes(bytes_of(voxels), size);
  return scale ? scaled(std::move(voxels), slope, header.offset) : voxels;
}

/// What stands between a header and the voxels: whether extensions follow, and a comment as one of them.
std::string extension_bytes(const std::string& comment) {
  if (comment.empty()) return std::string(kExtensionBytes, '\0');
  constexpr size_t kMultiple = 16;
  std::array<int32_t, 2> head{0, NIFTI_ECODE_COMMENT};  // the size, which counts these 8 bytes, and the kind
  const size_t size = (sizeof head + comment.size() + 1 + kMultiple - 1) / kMultiple * kMultiple;
  head[0] = static_cast<int32_t>(size);
  std::string bytes{'\1', '\0', '\0', '\0'};
  bytes.append(reinterpret_cast<const char*>(head.data()), sizeof head);
  bytes += comment;
  bytes.resize(kExtensionBytes + size, '\0');
  return bytes;
}

/// What is written.
struct Content {
  const Geometry& geometry;
  size_t type;  ///< place in VoxelData
  std::function<void(ByteWriter& file)> write_voxels;
};

template <class FileHeader>
FileHeader make_header(const Content& image, int version, bool pair, size_t extension_bytes) {
  FileHeader h{};
  h.sizeof_hdr = sizeof h;
  h.dim[0] = 3;
  for (int axis = 0; axis < 7; ++axis)
    h.dim[axis + 1] =
        static_cast<std::remove_reference_t<decltype(h.dim[0])>>(axis < 3 ? image.geometry.size[axis] : 1);
  h.datatype = static_cast<short>(kCodes[image.type]);
  int bytes = 0, swap = 0;
  nifti_datatype_sizes(h.datatype, &bytes, &swap);
  h.bitpix = static_cast<short>(8 * bytes);
  h.vox_offset = static_cast<decltype(h.vox_offset)>(pair ? 0 : sizeof h + extension_bytes);
  h.scl_slope = 1;
  h.xyzt_units = NIFTI_UNITS_MM;
  std::strcpy(h.descrip, "mambaseg");
  std::memcpy(
      h.magic,
      pair ? (version == 1 ? "ni1\0" : "ni2\0\r\n\032\n") : (version == 1 ? "n+1\0" : "n+2\0\r\n\032\n"),
      sizeof h.magic);

  const Affine& affine = image.geometry.voxel_to_ras_mm;
  nifti_dmat44 matrix{};
  for (int row = 0; row < 3; ++row) {
    auto* srow = row == 0 ? h.srow_x : row == 1 ? h.srow_y : h.srow_z;
    for (int column = 0; column < 4; ++column) {
      matrix.m[row][column] = column < 3 ? affine.matrix[row][column] : affine.offset[row];
      srow[column] = static_cast<std::remove_reference_t<decltype(srow[0])>>(matrix.m[row][column]);
    }
  }
  matrix.m[3][3] = 1;
  h.sform_code = NIFTI_XFORM_SCANNER_ANAT;
  using Real = std::remove_reference_t<decltype(h.pixdim[0])>;
  double b = 0, c = 0, d = 0, x = 0, y = 0, z = 0, dx = 0, dy = 0, dz = 0, handedness = 1;
  nifti_dmat44_to_quatern(matrix, &b, &c, &d, &x, &y, &z, &dx, &dy, &dz, &handedness);
  h.pixdim[0] = static_cast<Real>(handedness);
  h.pixdim[1] = static_cast<Real>(dx);
  h.pixdim[2] = static_cast<Real>(dy);
  h.pixdim[3] = static_cast<Real>(dz);
  for (int axis = 4; axis < 8; ++axis) h.pixdim[axis] = 1;
  h.quatern_b = static_cast<Real>(b);
  h.quatern_c = static_cast<Real>(c);
  h.quatern_d = static_cast<Real>(d);
  h.qoffset_x = static_cast<Real>(x);
  h.qoffset_y = static_cast<Real>(y);
  h.qoffset_z = static_cast<Real>(z);
  // A quaternion cannot say that axes are skewed: such a grid has a sform only, so that no reader gets a
  // wrong one.
  Header back = common_header(h, version, false);
  double worst = 0;
  const Affine rotation = qform(back);
  for (int row = 0; row < 3; ++row)
    for (int column = 0; column < 3; ++column)
      worst = std::max(worst, std::abs(rotation.matrix[row][column] - affine.matrix[row][column]) /
                                  back.pixdim[column + 1]);
  h.qform_code = worst < 1e-4 ? NIFTI_XFORM_SCANNER_ANAT : NIFTI_XFORM_UNKNOWN;
  return h;
}

template <class FileHeader>
void write_with_header(const std::string& path, const Content& image, int version,
                       const std::string& comment) {
  const auto packing = [](const std::string& name) {
    return name.ends_with("gz") || name.ends_with("GZ") ? ByteWriter::Packing::kGzip
                                                        : ByteWriter::Packing::kNone;
  };
  const bool pair = is_pair(path);
  const std::string extension = extension_bytes(comment);
  const auto header = make_header<FileHeader>(image, version, pair, extension.size());
  const auto write_voxels = [&](const std::string& temporary) {
    ByteWriter file(temporary, ByteWriter::Packing::kNone);
    image.write_voxels(file);
    file.close();
  };
  const auto write_header = [&](const std::string& temporary) {
    ByteWriter file(temporary, packing(temporary));
    file.write(&header, sizeof header);
    file.write(extension.data(), extension.size());
    if (!pair) image.write_voxels(file);
    file.close();
  };
  if (pair)
    write_pair_atomically({with_ending(path, "img"), write_voxels}, {path, write_header});
  else
    write_atomically(path, write_header);
}

void write_content(const std::string& path, const Content& image, const std::string& comment) {
  const Index3& size = image.geometry.size;
  if (std::max({size[0], size[1], size[2]}) <= std::numeric_limits<short>::max())
    write_with_header<nifti_1_header>(path, image, 1, comment);
  else
    write_with_header<nifti_2_header>(path, image, 2, comment);
}

/// The voxels that the sizes announce; with `channels` those of the volumes of a 4-D file together.
int64_t voxels_to_read(const std::vector<int64_t>& sizes, bool channels) {
  if (!channels || sizes.size() != 4) return checked_voxel_count(sizes);
  const int64_t one = checked_voxel_count(std::span(sizes).first(3));
  require(sizes[3] >= 1 && sizes[3] <= std::numeric_limits<int64_t>::max() / 64 / one, "the size ",
          sizes_text(sizes), " in the header is impossible");
  return one * sizes[3];
}

Image read_nifti_voxels(const std::string& path, Part part, bool channels, const Warn& warn) {
  const bool pair = is_pair(path);
  ByteReader file(pair ? half_of_pair(path, "hdr") : path);
  Header header = read_header(file);
  const auto count = static_cast<size_t>(voxels_to_read(header.sizes, channels));
  type_of(header.type);  // refuses types that are not read, before voxels are
  if (warn && header.sizes_repaired) warn("the header gives an axis no voxels; 1 is taken");
  Image image;
  image.geometry.size = {1, 1, 1};
  for (size_t axis = 0; axis < std::min<size_t>(3, header.sizes.size()); ++axis)
    image.geometry.size[axis] = header.sizes[axis];
  image.geometry.voxel_to_ras_mm = best_affine(header, image.geometry.size, warn);
  apply_units(header.units, image.geometry, warn);
  if (part == Part::kGeometry) return image;

  const size_t header_end = header.version == 1 ? 348 : 540;
  if (!pair && header.voxels_at == 0) {
    header.voxels_at = static_cast<double>(header_end + kExtensionBytes);
    if (warn) warn("the header says that voxels start at byte 0; they are taken from behind it");
  }
  const double first = pair ? 0 : static_cast<double>(header_end);
  require(header.voxels_at >= first && header.voxels_at < 1e15, "the header says that voxels start at byte ",
          header.voxels_at, ", which cannot be");
  const auto at = static_cast<size_t>(header.voxels_at);
  if (!pair) {
    file.skip(at - header_end, "the part before the voxel data");
    image.voxels = read_voxels(file, header, count);
    image.step = step_of(header);
    return image;
  }
  ByteReader voxel_file(half_of_pair(path, "img"));
  voxel_file.skip(at, "the part before the voxel data");
  image.voxels = read_voxels(voxel_file, header, count);
  image.step = step_of(header);
  return image;
}

}  // namespace

Image read_nifti(const std::string& path, Part part, const Warn& warn) {
  return read_nifti_voxels(path, part, false, warn);
}

int64_t count_nifti_channels(const std::string& path) {
  ByteReader file(is_pair(path) ? half_of_pair(path, "hdr") : path);
  const Header header = read_header(file);
  return header.sizes.size() == 4 ? header.sizes[3] : 1;
}

std::vector<Image> read_nifti_channels(const std::string& path, const Warn& warn) {
  const Image all = read_nifti_voxels(path, Part::kVoxels, true, warn);
  const auto each = all.geometry.voxel_count();
  std::vector<Image> channels;
  std::visit(
      [&](const auto& voxels) {
        for (auto at = voxels.begin(); at != voxels.end(); at += each)
          channels.push_back({all.geometry, std::decay_t<decltype(voxels)>(at, at + each)});
      },
      all.voxels);
  return channels;
}

void write_nifti(const std::string& path, const Image& image) {
  const std::span<const std::byte> voxels = bytes_of(image.voxels);
  write_content(path,
                {image.geometry, image.voxels.index(),
                 [&](ByteWriter& file) { file.write(voxels.data(), voxels.size()); }},
                "");
}

void write_nifti_labels(const std::string& path, const Volume<int32_t>& labels, const std::string& comment) {
  const std::span<const int32_t> all(labels.voxels);
  const size_t type = smallest_type(all), size = bytes_of(voxels_of_type(type, 1)).size();
  const auto write_voxels = [&](ByteWriter& file) {
    const size_t most = std::min(kLabelBytes / size, all.size());
    std::vector<std::byte> piece(most * size);
    for (size_t done = 0; done < all.size(); done += most) {
      const size_t count = std::min(most, all.size() - done);
      narrow(all.subspan(done, count), type, std::span(piece).first(count * size));
      file.write(piece.data(), count * size);
    }
  };
  write_content(path, {labels.geometry, type, write_voxels}, comment);
}

}  // namespace mambaseg

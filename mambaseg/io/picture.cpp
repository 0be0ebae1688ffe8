// PNG, JPEG and BMP through ITK.

#include "mambaseg/io/picture.h"

#include <itkBMPImageIO.h>
#include <itkJPEGImageIO.h>
#include <itkPNGImageIO.h>
#include <zlib.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "mambaseg/core/error.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/exif.h"
#include "mambaseg/io/formats.h"
#include "mambaseg/io/itk_io.h"

namespace mambaseg {
namespace {

constexpr int kJpegQuality = 95;
constexpr char kJpegStart[] = "\xff\xd8\xff";

std::string ending_of(const std::string& path) {
  std::string ending = std::filesystem::path(path).extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return ending;
}

std::string bytes_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

uint32_t big_endian(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

/// Walks through the chunks of a PNG: length, name, data, check sum.
void check_png(const std::string& bytes) {
  for (size_t at = 8; at + 12 <= bytes.size();) {
    const size_t length = big_endian(bytes, at);
    if (length > bytes.size() - at - 12) break;
    const auto* chunk = reinterpret_cast<const Bytef*>(bytes.data() + at + 4);
    require(crc32(0, chunk, static_cast<uInt>(length + 4)) == big_endian(bytes, at + 8 + length),
            "the PNG picture is damaged (wrong check sum)");
    if (bytes.compare(at + 4, 4, "IEND") == 0) return;
    at += 12 + length;
  }
  throw Error("the PNG picture is cut off");
}

using PictureIo = itk::ImageIOBase::Pointer;

/// The reader for the content (the name may be wrong). Files that are cut off or damaged are refused before
/// ITK sees them: its libraries print, fill up with grey, or end the program.
PictureIo reader_for(const std::string& bytes) {
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) {
    check_png(bytes);
    return PictureIo(itk::PNGImageIO::New());
  }
  if (bytes.starts_with(kJpegStart)) {
    require(bytes.rfind("\xff\xd9") != std::string::npos, "the JPEG picture is cut off");
    return PictureIo(itk::JPEGImageIO::New());
  }
  require(bytes.starts_with("BM") && bytes.size() > 54, "this is not a PNG, JPEG or BMP picture");
  uint32_t announced = 0;
  for (size_t i = 0; i < 4; ++i) announced |= uint32_t{static_cast<uint8_t>(bytes[2 + i])} << 8 * i;
  require(announced <= bytes.size(), "the BMP picture is cut off");
  return PictureIo(itk::BMPImageIO::New());
}

PictureIo open_picture(const std::string& path, const std::string& bytes) {
  const PictureIo reader = reader_for(bytes);
  reader->SetFileName(path);
  reader->ReadImageInformation();
  return reader;
}

template <class T>
std::vector<T> read_values(itk::ImageIOBase& reader) {
  itk::ImageIORegion region(2);
  for (unsigned axis = 0; axis < 2; ++axis) region.SetSize(axis, reader.GetDimensions(axis));
  reader.SetIORegion(region);
  std::vector<T> values(static_cast<size_t>(reader.GetImageSizeInComponents()));
  reader.Read(values.data());
  return values;
}

/// Palettes are unpacked by ITK. Grey with alpha (2 numbers) keeps its grey.
std::vector<uint8_t> without_alpha_of_grey(std::vector<uint8_t> values, int& channels) {
  if (channels != 2) return values;
  channels = 1;
  for (size_t i = 0; i < values.size() / 2; ++i) values[i] = values[2 * i];
  values.resize(values.size() / 2);
  return values;
}

}  // namespace

bool pictures_are_supported() { return true; }

Picture read_picture(const std::string& path) {
  return with_context(path, [&path] {
    std::error_code failed;
    require(std::filesystem::exists(path, failed), "no such file");
    require(std::filesystem::is_regular_file(path, failed), "this is not a regular file");
    require(std::filesystem::file_size(path, failed) > 0, "the file is empty");
    const std::string bytes = bytes_of_file(path);
    Picture picture;
    run_itk([&] {
      const auto reader = open_picture(path, bytes);
      picture.width = static_cast<int64_t>(reader->GetDimensions(0));
      picture.height = static_cast<int64_t>(reader->GetDimensions(1));
      picture.channels = static_cast<int>(reader->GetNumberOfComponents());
      if (reader->GetComponentType() == itk::IOComponentEnum::USHORT) {
        for (const uint16_t value : read_values<uint16_t>(*reader))
          picture.values.push_back(static_cast<uint8_t>((value + 128) / 257));
      } else {
        require(reader->GetComponentType() == itk::IOComponentEnum::UCHAR, "expected 8 or 16 bits a channel");
        picture.values = read_values<uint8_t>(*reader);
      }
    });
    picture.values = without_alpha_of_grey(std::move(picture.values), picture.channels);
    return upright(picture, bytes.starts_with(kJpegStart) ? exif_orientation(bytes) : 1);
  });
}

void write_picture(const std::string& path, const Picture& picture) {
  const std::string ending = ending_of(path);
  const bool jpeg = ending == ".jpg" || ending == ".jpeg";
  require(jpeg || ending == ".png", path,
          ": cannot write a picture of this format; use the ending .png or .jpg");
  require(picture.channels == 1 || picture.channels == 3 || (picture.channels == 4 && !jpeg), path,
          ": expected 1 or 3 channels", jpeg ? "" : " or 4", ", got ", picture.channels);
  require(picture.width > 0 && picture.height > 0 &&
              picture.values.size() == static_cast<size_t>(picture.width * picture.height * picture.channels),
          path, ": a picture of ", picture.width, "x", picture.height, " with ", picture.channels,
          " channels has ", picture.values.size(), " values");
  const std::string bytes = with_context(path, [&] {
    return written_by_itk([&](const std::string& in_memory) {
      itk::ImageIOBase::Pointer writer;
      if (jpeg) {
        const auto io = itk::JPEGImageIO::New();
        io->SetQuality(kJpegQuality);
        writer = io;
      } else {
        writer = itk::PNGImageIO::New();
      }
      writer->SetNumberOfDimensions(2);
      writer->SetDimensions(0, static_cast<size_t>(picture.width));
      writer->SetDimensions(1, static_cast<size_t>(picture.height));
      itk::ImageIORegion region(2);
      region.SetSize(0, static_cast<size_t>(picture.width));
      region.SetSize(1, static_cast<size_t>(picture.height));
      writer->SetIORegion(region);
      writer->SetNumberOfComponents(static_cast<unsigned>(picture.channels));
      writer->SetPixelType(picture.channels == 1   ? itk::IOPixelEnum::SCALAR
                           : picture.channels == 3 ? itk::IOPixelEnum::RGB
                                                   : itk::IOPixelEnum::RGBA);
      writer->SetComponentType(itk::IOComponentEnum::UCHAR);
      writer->UseCompressionOn();
      writer->SetFileName(in_memory);
      writer->Write(picture.values.data());
    });
  });
  write_file_atomically(path, bytes);
}

Image read_grey_picture(const std::string& path, Part part, const Warn&) {
  Image image;
  run_itk([&] {
    const auto reader = open_picture(path, bytes_of_file(path));
    require(reader->GetNumberOfComponents() == 1, "this is a colour picture of ",
            reader->GetNumberOfComponents(),
            " channels; expected one grey value a pixel, so turn it into a grey picture, or use a 2-D task, "
            "which reads "
            "colours");
    image.geometry = itk_geometry(*reader);
    if (part == Part::kVoxels) image.voxels = read_itk_voxels(*reader);
  });
  return image;
}

}  // namespace mambaseg

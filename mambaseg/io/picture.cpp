// PNG, JPEG and BMP through ITK.

#include "mambaseg/io/picture.h"

#include <itkBMPImageIO.h>
#include <itkJPEGImageIO.h>
#include <itkPNGImageIO.h>

#include <cctype>
#include <filesystem>

#include "mambaseg/core/error.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/formats.h"
#include "mambaseg/io/itk_voxels.h"

namespace mambaseg {
namespace {

constexpr int kJpegQuality = 95;

std::string ending_of(const std::string& path) {
  std::string ending = std::filesystem::path(path).extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return ending;
}

/// The reader that knows the content; the name may be wrong.
itk::ImageIOBase::Pointer open_picture(const std::string& path) {
  for (const itk::ImageIOBase::Pointer& reader :
       {itk::ImageIOBase::Pointer(itk::PNGImageIO::New()), itk::ImageIOBase::Pointer(itk::JPEGImageIO::New()),
        itk::ImageIOBase::Pointer(itk::BMPImageIO::New())})
    if (reader->CanReadFile(path.c_str())) {
      reader->SetFileName(path);
      reader->ReadImageInformation();
      return reader;
    }
  throw Error("this is not a PNG, JPEG or BMP picture");
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

Picture read_picture(const std::string& path) {
  return with_context(path, [&path] {
    std::error_code failed;
    require(std::filesystem::exists(path, failed), "no such file");
    require(std::filesystem::is_regular_file(path, failed), "this is not a regular file");
    require(std::filesystem::file_size(path, failed) > 0, "the file is empty");
    Picture picture;
    run_itk([&] {
      const auto reader = open_picture(path);
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
    return picture;
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
  write_atomically(path, [&](const std::string& temporary) {
    run_itk([&] {
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
      writer->SetFileName(temporary);
      writer->Write(picture.values.data());
    });
  });
}

Image read_grey_picture(const std::string& path, Part part, const Warn&) {
  Image image;
  run_itk([&] {
    const auto reader = open_picture(path);
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

#include "tests/fuzz/seeds.h"

#include <algorithm>
#include <filesystem>

#include "mambaseg/data/plan.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/io/safetensors.h"
#include "tests/fuzz/zip_file.h"
#include "tests/io/byte_writer.h"
#include "tests/io/temporary_folder.h"
#include "tests/io/test_images.h"

namespace mambaseg {
namespace {

std::string little(uint64_t value, size_t bytes) {
  std::string out;
  put(out, 0, value, false);
  return out.substr(0, bytes);
}

// -- images

template <class T>
std::string image_bytes(const TemporaryFolder& folder, const std::string& name) {
  write_image(folder / name, counting_image<T>(oblique_grid()));
  std::string bytes = read_bytes(folder / name);
  if (name.ends_with(".hdr")) bytes.resize(352 + 60 * sizeof(T));  // the pair's voxels are read from byte 0
  return bytes;
}

void add_images(const TemporaryFolder& folder, std::vector<FuzzSeed>& seeds) {
  seeds.push_back({"nifti", "float", image_bytes<float>(folder, "a.nii")});
  seeds.push_back({"nifti", "packed", image_bytes<uint8_t>(folder, "b.nii.gz")});
  seeds.push_back({"nifti", "pair", image_bytes<int16_t>(folder, "c.hdr")});
  seeds.push_back({"mgh", "float", image_bytes<float>(folder, "a.mgh")});
  seeds.push_back({"mgh", "packed", image_bytes<int32_t>(folder, "b.mgz")});
  seeds.push_back({"metaimage", "packed", image_bytes<int16_t>(folder, "a.mha")});
  seeds.push_back({"metaimage", "plain",
                   "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = True\n"
                   "CompressedData = False\nTransformMatrix = 1 0 0 0 0 1 0 1 0\nOffset = 1 -2.5 3e1\n"
                   "CenterOfRotation = 0 0 0\nAnatomicalOrientation = RAI\nElementSpacing = 1 2 0.5\n"
                   "DimSize = 2 2 1\nElementType = MET_USHORT\nElementDataFile = LOCAL\n"
                   "\1\2\3\4\5\6\7\10"});
  seeds.push_back({"nrrd", "packed", image_bytes<float>(folder, "a.nrrd")});
  const std::string nrrd =
      "NRRD0005\n# a comment\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 1\n"
      "space directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (-1,2.5,3e1)\nkinds: domain domain domain\n"
      "space units: \"mm\" \"mm\" \"mm\"\ncenterings: cell cell cell\nkey:=value\n";
  seeds.push_back(
      {"nrrd", "plain", nrrd + "endian: big\nencoding: raw\n\n" + std::string("\0\1\0\2\0\3\0\4", 8)});
  seeds.push_back({"nrrd", "text", nrrd + "encoding: ascii\n\n1 2 3 4\n"});
}

void add_pictures(const TemporaryFolder& folder, std::vector<FuzzSeed>& seeds) {
  Picture picture{5, 4, 3, {}};
  for (int i = 0; i < 60; ++i) picture.values.push_back(static_cast<uint8_t>(4 * i));
  for (const char* name : {"colour.png", "colour.jpg"}) {
    write_picture(folder / name, picture);
    seeds.push_back({"picture", name, read_bytes(folder / name)});
  }
  const Picture grey = to_grey(picture);
  for (const char* name : {"grey.png", "grey.jpg"}) {
    write_picture(folder / name, grey);
    seeds.push_back({"picture", name, read_bytes(folder / name)});
  }
  std::string bitmap = "BM" + little(0, 4) + little(0, 4) + little(54, 4) + little(40, 4) + little(2, 4) +
                       little(2, 4) + little(1, 2) + little(24, 2) + little(0, 4) + little(16, 4) +
                       std::string(16, '\0') + std::string(16, '\7');
  bitmap.replace(2, 4, little(bitmap.size(), 4));
  seeds.push_back({"picture", "colour.bmp", bitmap});

  const std::string jpeg = read_bytes(folder / "colour.jpg");
  for (const bool big : {false, true}) {
    std::string tags = big ? "MM" : "II";
    put<uint16_t>(tags, 2, 42, big);
    put<uint32_t>(tags, 4, 8, big);
    put<uint16_t>(tags, 8, 1, big);
    put<uint16_t>(tags, 10, 0x0112, big);
    put<uint16_t>(tags, 12, 3, big);
    put<uint32_t>(tags, 14, 1, big);
    put<uint16_t>(tags, 18, 6, big);
    put<uint32_t>(tags, 20, 0, big);
    std::string part = "\xff\xe1";
    put<uint16_t>(part, 2, static_cast<uint16_t>(8 + tags.size()), true);
    part += std::string("Exif\0\0", 6) + tags;
    const std::string turned = jpeg.substr(0, 2) + part + jpeg.substr(2);
    seeds.push_back({"exif", big ? "big_endian" : "little_endian", turned});
    seeds.push_back({"picture", big ? "turned_big.jpg" : "turned_little.jpg", turned});
  }
}

// -- DICOM

enum class Syntax { kExplicit, kImplicit };

std::string element(Syntax syntax, uint32_t tag, const std::string& type, std::string value,
                    bool open = false) {
  if (value.size() % 2 == 1) value += type == "UI" ? '\0' : ' ';
  const uint64_t length = open ? 0xffffffff : value.size();
  const std::string name = little(tag >> 16, 2) + little(tag & 0xffff, 2);
  if (syntax == Syntax::kImplicit) return name + little(length, 4) + value;
  const bool is_long = type == "OW" || type == "SQ";
  return name + type + (is_long ? little(0, 2) + little(length, 4) : little(length, 2)) + value;
}

std::string slice_file(Syntax syntax) {
  const auto add = [&](uint32_t tag, const char* type, const std::string& value) {
    return element(syntax, tag, type, value);
  };
  const auto number = [&](uint32_t tag, uint64_t value) { return add(tag, "US", little(value, 2)); };
  const std::string meta = element(Syntax::kExplicit, 0x00020010, "UI",
                                   syntax == Syntax::kExplicit ? "1.2.840.10008.1.2.1" : "1.2.840.10008.1.2");
  const std::string item = little(0xfffe, 2) + little(0xe000, 2) + little(0xffffffff, 4) +
                           add(0x00080100, "SH", "T1") + little(0xfffe, 2) + little(0xe00d, 2) + little(0, 4);
  const std::string sequence =
      element(syntax, 0x00082218, "SQ", item, true) + little(0xfffe, 2) + little(0xe0dd, 2) + little(0, 4);
  return std::string(128, '\0') + "DICM" +
         element(Syntax::kExplicit, 0x00020000, "UL", little(meta.size(), 4)) + meta +
         add(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.4") + add(0x00080018, "UI", "1.2.3.5.1") +
         add(0x00080060, "CS", "MR") + sequence + add(0x00180050, "DS", "4") +
         add(0x0020000d, "UI", "1.2.3") + add(0x0020000e, "UI", "1.2.3.4") +
         add(0x00200032, "DS", "10\\20\\30") + add(0x00200037, "DS", "1\\0\\0\\0\\1\\0") +
         number(0x00280002, 1) + add(0x00280004, "CS", "MONOCHROME2") + number(0x00280010, 2) +
         number(0x00280011, 3) + add(0x00280030, "DS", "2\\0.5") + number(0x00280100, 16) +
         number(0x00280101, 16) + number(0x00280102, 15) + number(0x00280103, 1) +
         add(0x00281052, "DS", "-1024") + add(0x00281053, "DS", "1.5") +
         add(0x7fe00010, "OW", std::string("\1\0\2\0\3\0\4\0\5\0\6\0", 12));
}

// -- weights

std::string word(const std::string& text) { return "X" + little(text.size(), 4) + text; }

std::string tensor(const std::string& type, const std::string& record, int elements, const std::string& sizes,
                   const std::string& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + word("storage") + "ctorch\n" + type + "\n" + word(record) +
         word("cpu") + "K" + static_cast<char>(elements) + "tQK\1(" + sizes + "t(" + strides +
         "t\x89"
         "ccollections\nOrderedDict\n)RtR";
}

std::string checkpoint_pickle() {
  return "\x80\x02}(" + word("epoch") + "K\3" + word("rate") + "G" + std::string("\x3f\xf0\0\0\0\0\0\0", 8) +
         word("best") + "N" + word("list") + "](K\1M\1\1e" + word("state_dict") + "}(" + word("module.a") +
         tensor("FloatStorage", "0", 16, "K\2K\3", "K\3K\1") + word("module.b") +
         tensor("LongStorage", "1", 2, "K\1", "K\1") + "uu.";
}

void add_weights(const TemporaryFolder& folder, std::vector<FuzzSeed>& seeds) {
  const std::string pickle = checkpoint_pickle();
  seeds.push_back({"pickle", "checkpoint", pickle});
  write_zip(folder / "a.pth", {{"archive/data.pkl", pickle},
                               {"archive/byteorder", "little"},
                               {"archive/data/0", std::string(64, '\1')},
                               {"archive/data/1", std::string(16, '\2')}});
  seeds.push_back({"torch_file", "checkpoint", read_bytes(folder / "a.pth")});
  const std::string header = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n";
  seeds.push_back(
      {"npy", "fortran",
       std::string("\x93NUMPY\1\0", 8) + little(header.size(), 2) + header + std::string(24, '\1')});

  Plan plan;
  plan.classes = {{"hippocampus", {17, 53}}, {"amygdala", {18}}};
  const std::string text = to_json(plan).dump();
  seeds.push_back({"plan", "two_classes", text});
  seeds.push_back({"label_table", "plan", "j" + text});
  const std::string bytes = "0123456789abcdef";
  TensorFile file;
  file.metadata = {{"mambaseg", "1"}, {"plan", text}};
  file.tensors = {{"a", "F32", {2, 1}, std::as_bytes(std::span(bytes)).first(8)},
                  {"b", "U8", {8}, std::as_bytes(std::span(bytes)).last(8)}};
  write_safetensors(folder / "a.safetensors", file);
  seeds.push_back({"model", "two_tensors", read_bytes(folder / "a.safetensors")});
}

void add_texts(const std::string& recipes, std::vector<FuzzSeed>& seeds) {
  const std::string decathlon =
      R"({"name": "Liver", "tensorImageSize": "3D", "modality": {"0": "CT"}, "labels": {"0": "background", )"
      R"("1": "liver"}, "numTraining": 2, "training": [{"image": "./imagesTr/a.nii.gz", "label": )"
      R"("./labelsTr/a.nii.gz"}], "test": ["./imagesTs/c.nii.gz"]})";
  const std::string labels = R"({"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1}})";
  seeds.push_back({"dataset_json", "decathlon", decathlon});
  seeds.push_back({"dataset_json", "nnunet", labels});
  seeds.push_back({"label_table", "nnunet", "j" + labels});
  seeds.push_back({"label_table", "map", "j{\"1\": \"liver\", \"2\": \"spleen\"}"});
  seeds.push_back({"label_table", "commas", "cid,name,r,g,b\n1,\"liver\",255,0,0\n2,spleen,0,255,0\n"});
  seeds.push_back({"label_table", "tabs", "tindex\tname\n1\tleft lung\n2\tright lung\n"});
  seeds.push_back(
      {"label_table", "colours", "x# No. Name R G B A\n0 Unknown 0 0 0 0\n4 Left-Ventricle 120 18 134 0\n"});
  seeds.push_back({"label_table", "toml", "m[[classes]]\nname = \"liver\"\nids = [1, 2]\n"});
  seeds.push_back({"label_table", "subsets", "sparticipant,site\nsub-1,\"a, \"\"b\"\"\"\nsub-2,c\n"});
  seeds.push_back({"split_file", "lists", R"({"train": ["a"], "validation": ["b"], "test": []})"});
  seeds.push_back(
      {"split_file", "folds", R"([{"train": ["a"], "val": ["b"]}, {"train": ["b"], "val": ["a"]}])"});
  seeds.push_back(
      {"recipe", "values",
       "data.dataset.folder = \"x\"\ntitle = \"a\\u00e9\"\nn = 1_000\nhex = 0xff\nx = [1.5, -inf, nan, 1e3]\n"
       "when = 1979-05-27T07:32:00Z\nflag = true\n[data.split]\nvalidation_fraction = 0.1\ntrain = ['a']\n"
       "[[plan.classes]]\nname = \"\"\"liver\"\"\"\nids = [1]\n"});
  for (const auto& entry : std::filesystem::directory_iterator(recipes))
    if (entry.path().extension() == ".toml")
      seeds.push_back({"recipe", entry.path().stem().string(), read_bytes(entry.path().string())});
}

}  // namespace

std::vector<FuzzSeed> fuzz_seeds(const std::string& recipes) {
  const TemporaryFolder folder;
  std::vector<FuzzSeed> seeds;
  add_images(folder, seeds);
  add_pictures(folder, seeds);
  for (const char* target : {"dicom", "dicom_outline"}) {
    seeds.push_back({target, "explicit", slice_file(Syntax::kExplicit)});
    seeds.push_back({target, "implicit", slice_file(Syntax::kImplicit)});
  }
  add_weights(folder, seeds);
  add_texts(recipes, seeds);
  return seeds;
}

}  // namespace mambaseg

#include "mambaseg/io/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zip.h>

#include <cstring>
#include <functional>

#include "mambaseg/core/error.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void write_zip(const std::string& path, const std::vector<std::pair<std::string, std::string>>& records) {
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  ASSERT_NE(archive, nullptr);
  for (const auto& [name, bytes] : records) {
    const zip_int64_t index =
        zip_file_add(archive, name.c_str(), zip_source_buffer(archive, bytes.data(), bytes.size(), 0), 0);
    ASSERT_GE(index, 0);
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0);
  }
  ASSERT_EQ(zip_close(archive), 0);
}

// -- pieces of pickles, protocol 2

std::string text(const std::string& words) {
  const uint32_t length = static_cast<uint32_t>(words.size());
  return "X" + std::string(reinterpret_cast<const char*>(&length), 4) + words;
}

std::string number(int32_t value) { return "J" + std::string(reinterpret_cast<const char*>(&value), 4); }

std::string tuple(const std::vector<int32_t>& values) {
  std::string out = "(";
  for (const int32_t value : values) out += number(value);
  return out + "t";
}

const std::string kOrderedDict = "ccollections\nOrderedDict\n)R";

std::string storage(const std::string& type, const std::string& record, int32_t elements) {
  return "(" + text("storage") + "ctorch\n" + type + "\n" + text(record) + text("cpu") + number(elements) +
         "tQ";
}

std::string tensor(const std::string& from, int32_t offset, const std::vector<int32_t>& sizes,
                   const std::vector<int32_t>& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + from + number(offset) + tuple(sizes) + tuple(strides) +
         "\x89" + kOrderedDict + "tR";
}

std::string pickle(const std::string& body) { return "\x80\x02" + body + "."; }

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <class T>
std::vector<T> values_of(const StoredTensor* stored) {
  std::vector<T> out(stored->bytes.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), stored->bytes.data(), stored->bytes.size());
  return out;
}

class TorchFile : public testing::Test {
 protected:
  std::string write(const std::string& body, std::vector<std::pair<std::string, std::string>> more = {}) {
    const std::string path = folder_ / "weights.pth";
    more.insert(more.begin(), {"archive/data.pkl", pickle(body)});
    more.insert(more.end(), {"archive/data/0", raw<float>({0, 1, 2, 3, 4, 5})});
    write_zip(path, more);
    return path;
  }
  std::string error_for(const std::string& body) {
    const std::string path = write(body);
    const std::string error = error_of([&] { read_torch_file(path); });
    EXPECT_THAT(error, HasSubstr(path));
    return error;
  }
  TemporaryFolder folder_;
};

const std::string kSix = storage("FloatStorage", "0", 6);

TEST_F(TorchFile, ReadsAStateDict) {
  // An OrderedDict with the attribute _metadata, as state_dict() makes it; the storage is shared.
  const std::string body = kOrderedDict + "(" + text("a.weight") + tensor(kSix, 0, {2, 3}, {3, 1}) +
                           text("a.turned") + tensor(kSix, 0, {3, 2}, {1, 3}) + text("a.part") +
                           tensor(kSix, 1, {2, 2}, {3, 1}) + text("scalar") + tensor(kSix, 5, {}, {}) +
                           text("none") + tensor(kSix, 0, {0, 2}, {2, 1}) + "u}" + text("_metadata") +
                           kOrderedDict + "sb";
  const TensorFile file = read_torch_file(write(body));
  ASSERT_EQ(file.tensors.size(), 5u);
  EXPECT_EQ(values_of<float>(file.find("a.weight")), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values_of<float>(file.find("a.turned")), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(values_of<float>(file.find("a.part")), (std::vector<float>{1, 2, 4, 5}));
  EXPECT_EQ(values_of<float>(file.find("scalar")), (std::vector<float>{5}));
  EXPECT_EQ(file.find("a.turned")->sizes, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(file.find("none")->bytes.size(), 0u);
  EXPECT_EQ(file.find("scalar")->dtype, "F32");
}

TEST_F(TorchFile, FindsTheStateDictOfATrainingRunAndDropsModule) {
  const std::string parameter =
      "ctorch._utils\n_rebuild_parameter\n(" + tensor(kSix, 0, {6}, {1}) + "\x88" + kOrderedDict + "tR";
  const std::string inner = "}(" + text("module.w") + parameter + text("module.steps") + number(7) + "u";
  const std::string body = "}(" + text("epoch") + "K\x03" + text("lr") + "G" +
                           std::string("\x3f\xf0\0\0\0\0\0\0", 8) + text("best") + "N" + text("sizes") +
                           "](K\x01K\x02" + "e" + text("big") + "\x8a\x05" + std::string("\0\0\0\0\1", 5) +
                           text("model_state_dict") + inner + "u";
  const TensorFile file = read_torch_file(write(body));
  ASSERT_EQ(file.tensors.size(), 1u);
  EXPECT_EQ(values_of<float>(file.find("w")).size(), 6u);
}

TEST_F(TorchFile, ReadsOtherNumberTypesAndByteOrders) {
  const std::string body = "}(" + text("i") + tensor(storage("LongStorage", "1", 2), 0, {2}, {1}) +
                           text("h") + tensor(storage("BFloat16Storage", "2", 1), 0, {1}, {1}) + "u";
  const auto read = [&](const std::string& order) {
    return read_torch_file(
        write(body, {{"archive/data/1", std::string("\0\0\0\0\0\0\0\1\2\0\0\0\0\0\0\0", 16)},
                     {"archive/data/2", std::string("\x3f\x80", 2)},
                     {"archive/byteorder", order}}));
  };
  EXPECT_EQ(values_of<int64_t>(read("big").find("i")), (std::vector<int64_t>{1, int64_t{2} << 56}));
  EXPECT_EQ(values_of<int64_t>(read("little").find("i")), (std::vector<int64_t>{int64_t{1} << 56, 2}));
  EXPECT_EQ(values_of<uint16_t>(read("big").find("h")), (std::vector<uint16_t>{0x3f80}));
  EXPECT_EQ(read("little").find("h")->dtype, "BF16");
}

TEST_F(TorchFile, RefusesWhatCouldRunCode) {
  EXPECT_THAT(error_for("cos\nsystem\n(" + text("true") + "tR"), HasSubstr("os.system"));
  EXPECT_THAT(error_for("}" + text("args") + "cargparse\nNamespace\n)Rs"), HasSubstr("argparse.Namespace"));
  EXPECT_THAT(error_for("\x8c\x02os\x8c\x06system\x93"), HasSubstr("os.system"));
  EXPECT_THAT(error_for("(ios\nsystem\n"), HasSubstr("operation 105"));
}

TEST_F(TorchFile, RefusesBrokenTensors) {
  const auto of = [](const std::string& made) { return "}" + text("w") + made + "s"; };
  EXPECT_THAT(error_for(of(tensor(kSix, 1, {6}, {1}))), HasSubstr("past the end"));
  EXPECT_THAT(error_for(of(tensor(kSix, 0, {2, 2}, {5, 2}))), HasSubstr("past the end"));
  EXPECT_THAT(error_for(of(tensor(kSix, 0, {7}, {0}))), HasSubstr("repeats"));
  EXPECT_THAT(error_for(of(tensor(kSix, 0, {-1}, {1}))), HasSubstr("impossible size"));
  EXPECT_THAT(error_for(of(tensor(kSix, 0, {2}, {1, 1}))), HasSubstr("strides"));
  EXPECT_THAT(error_for(of(tensor(storage("FloatStorage", "0", 7), 0, {7}, {1}))),
              HasSubstr("holds 6 values"));
  EXPECT_THAT(error_for(of(tensor(storage("FloatStorage", "9", 6), 0, {6}, {1}))), HasSubstr("no record"));
  EXPECT_THAT(error_for(of(tensor(kSix, 0, {2000000000, 2000000000, 2000000000}, {1, 1, 1}))),
              HasSubstr("past the end"));
}

TEST_F(TorchFile, RefusesBrokenPickles) {
  EXPECT_THAT(error_for("}" + text("w")), HasSubstr("values are left"));
  EXPECT_THAT(error_for("u"), HasSubstr("mark"));
  EXPECT_THAT(error_for("s"), HasSubstr("stack is empty"));
  EXPECT_THAT(error_for("h\x05"), HasSubstr("value 5"));
  EXPECT_THAT(error_for(std::string("X\xff\xff\xff\x7f", 5)), HasSubstr("cut off"));
  EXPECT_THAT(error_for("]"), HasSubstr("expected a dictionary"));
  EXPECT_THAT(error_for("}"), HasSubstr("no tensors"));
}

TEST_F(TorchFile, RefusesOtherFiles) {
  const std::string path = folder_ / "old.pth";
  write_bytes(path, "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9");
  EXPECT_THAT(error_of([&] { read_torch_file(path); }), HasSubstr("before 1.6"));
  EXPECT_THAT(error_of([&] { read_torch_file(folder_ / "none.pth"); }), HasSubstr("cannot open"));
  write_zip(path, {{"a.txt", "hello"}});
  EXPECT_THAT(error_of([&] { read_torch_file(path); }), HasSubstr("data.pkl"));
  const std::string whole = read_bytes(write("}" + text("w") + tensor(kSix, 0, {6}, {1}) + "s"));
  write_bytes(path, whole.substr(0, whole.size() / 2));
  EXPECT_NE(error_of([&] { read_torch_file(path); }), "");
}

}  // namespace
}  // namespace mambaseg

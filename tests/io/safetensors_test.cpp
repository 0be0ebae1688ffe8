#include "mambaseg/io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
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

/// A file of this header and `data_bytes` bytes of data.
std::string file_bytes(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(data_bytes, '\1');
}

std::string error_of_file(const std::string& bytes) {
  TemporaryFolder folder;
  const std::string path = folder / "weights.safetensors";
  write_bytes(path, bytes);
  const std::string error = error_of([&] { read_safetensors(path); });
  if (!error.empty()) {
    EXPECT_THAT(error, HasSubstr(path));
  }
  return error;
}

std::string entry(const std::string& name, int elements, int begin, int end,
                  const std::string& dtype = "F32") {
  return concat("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":[", elements, "],\"data_offsets\":[",
                begin, ",", end, "]}");
}

TEST(Safetensors, RoundTripKeepsEverything) {
  TemporaryFolder folder;
  const std::string path = folder / "a.safetensors";
  const float values[6] = {1, -2, 3.5f, 0, 1e-30f, 6};
  const uint8_t bytes[3] = {7, 8, 9};
  TensorFile file;
  file.metadata = {{"note", "quotes \" and \n lines"}, {"empty", ""}};
  file.tensors = {{"w", "F32", {2, 3}, std::as_bytes(std::span(values))},
                  {"none", "F32", {0, 4}, {}},
                  {"scalar", "U8", {}, std::as_bytes(std::span(bytes, 1))},
                  {"b", "U8", {2}, std::as_bytes(std::span(bytes + 1, 2))}};
  write_safetensors(path, file);
  const TensorFile read = read_safetensors(path);
  EXPECT_EQ(read.metadata, file.metadata);
  ASSERT_EQ(read.tensors.size(), 4u);
  for (const StoredTensor& expected : file.tensors) {
    const StoredTensor* found = read.find(expected.name);
    ASSERT_NE(found, nullptr) << expected.name;
    EXPECT_EQ(found->dtype, expected.dtype);
    EXPECT_EQ(found->sizes, expected.sizes);
    ASSERT_EQ(found->bytes.size(), expected.bytes.size());
    EXPECT_TRUE(std::ranges::equal(found->bytes, expected.bytes));
  }
  EXPECT_EQ(read.find("other"), nullptr);
  uint64_t header = 0;
  std::memcpy(&header, read_bytes(path).data(), 8);
  EXPECT_EQ(header % 8, 0u);
}

TEST(Safetensors, GoodHeadersAreRead) {
  EXPECT_EQ(error_of_file(file_bytes("{" + entry("a", 2, 0, 8) + "," + entry("b", 1, 8, 12) + "}  ", 12)),
            "");
  EXPECT_EQ(error_of_file(file_bytes("{}", 0)), "");
}

TEST(Safetensors, RefusesBadFiles) {
  EXPECT_THAT(error_of([] { read_safetensors("/nowhere/x.safetensors"); }), HasSubstr("No such file"));
  EXPECT_THAT(error_of([] { read_safetensors("/tmp"); }), HasSubstr("not a file"));
  EXPECT_THAT(error_of_file(""), HasSubstr("empty"));
  EXPECT_THAT(error_of_file("abc"), HasSubstr("too short"));
  EXPECT_THAT(error_of_file(std::string(8, '\xff')), HasSubstr("header"));
  EXPECT_THAT(error_of_file(file_bytes("{", 0)), HasSubstr("not JSON"));
  EXPECT_THAT(error_of_file(file_bytes("[]", 0)), HasSubstr("JSON object"));
  EXPECT_THAT(error_of_file(file_bytes("{\"__metadata__\":{\"a\":1}}", 0)), HasSubstr("is not a text"));
  EXPECT_THAT(error_of_file(file_bytes("{\"a\":{\"dtype\":\"F32\"}}", 0)),
              HasSubstr("expected dtype, shape"));
  EXPECT_THAT(error_of_file(file_bytes("{" + entry("a", -1, 0, 4) + "}", 4)), HasSubstr("whole number"));
  EXPECT_THAT(error_of_file(file_bytes("{" + entry("a", 1, 0, 4, "Q7") + "}", 4)), HasSubstr("Q7"));
}

TEST(Safetensors, RefusesDataThatDoNotFitTheHeader) {
  EXPECT_THAT(error_of_file(file_bytes("{" + entry("a", 2, 0, 8) + "}", 7)), HasSubstr("past the end"));
  EXPECT_THAT(error_of_file(file_bytes("{" + entry("a", 2, 0, 8) + "}", 9)), HasSubstr("belong to none"));
  EXPECT_THAT(error_of_file(file_bytes("{" + entry("a", 3, 0, 8) + "}", 8)), HasSubstr("needs 12 bytes"));
  EXPECT_THAT(error_of_file(file_bytes("{" + entry("a", 2, 8, 0) + "}", 8)), HasSubstr("backwards"));
  EXPECT_THAT(error_of_file(file_bytes("{" + entry("a", 2, 0, 8) + "," + entry("b", 2, 4, 12) + "}", 12)),
              HasSubstr("overlaps"));
  EXPECT_THAT(error_of_file(file_bytes("{" + entry("a", 1, 0, 4) + "," + entry("b", 1, 8, 12) + "}", 12)),
              HasSubstr("hole"));
  EXPECT_THAT(error_of_file(file_bytes("{" + entry("a", 1, 0, 4) + "," + entry("a", 1, 4, 8) + "}", 8)),
              HasSubstr("twice"));
  EXPECT_THAT(error_of_file(file_bytes("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],"
                                       "\"data_offsets\":[0,4]}}",
                                       4)),
              HasSubstr("too large"));
}

TEST(Safetensors, WriterRefusesWrongSizes) {
  TemporaryFolder folder;
  const float value = 1;
  const std::span<const std::byte> bytes = std::as_bytes(std::span(&value, 1));
  TensorFile file;
  file.tensors = {{"a", "F32", {2}, bytes}};
  EXPECT_THAT(error_of([&] { write_safetensors(folder / "a.safetensors", file); }),
              HasSubstr("its shape needs 8"));
  file.tensors = {{"a", "F32", {1}, bytes}, {"a", "F32", {1}, bytes}};
  EXPECT_THAT(error_of([&] { write_safetensors(folder / "a.safetensors", file); }), HasSubstr("twice"));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.safetensors"));
}

}  // namespace
}  // namespace mambaseg

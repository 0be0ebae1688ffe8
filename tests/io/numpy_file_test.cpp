#include "mambaseg/io/numpy_file.h"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "tests/fuzz/zip_file.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

/// A .npy record of version 1, as numpy.save writes it but for blanks that fill up the header.
std::string npy(const std::string& descr, const std::string& fortran, const std::string& shape,
                const std::string& values) {
  const std::string header =
      "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': (" + shape + "), }\n";
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header + values;
}

std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), 4 * values.size()};
}

std::vector<float> values_of(const StoredTensor& tensor) {
  std::vector<float> values(tensor.bytes.size() / 4);
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

class NumpyFile : public testing::Test {
 protected:
  TensorFile read(const std::string& record, const std::string& name = "a/kernel.npy") {
    write_zip(path_, {{name, record}});
    return read_npz(path_);
  }
  std::string error_for(const std::string& record, const std::string& name = "a.npy") {
    try {
      read(record, name);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(path_));
      return error.what();
    }
    return "";
  }
  TemporaryFolder folder_;
  std::string path_ = folder_ / "weights.npz";
};

TEST_F(NumpyFile, ReadsArraysOfBothOrders) {
  const TensorFile rows = read(npy("<f4", "False", "2, 3", floats({1, 2, 3, 4, 5, 6})));
  ASSERT_EQ(rows.tensors.size(), 1u);
  EXPECT_EQ(rows.tensors[0].name, "a/kernel");
  EXPECT_EQ(rows.tensors[0].dtype, "F32");
  EXPECT_EQ(rows.tensors[0].sizes, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(values_of(rows.tensors[0]), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  const TensorFile columns = read(npy("<f4", "True", "2, 3", floats({1, 4, 2, 5, 3, 6})));
  EXPECT_EQ(values_of(columns.tensors[0]), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(read(npy("<f4", "False", "", floats({7}))).tensors[0].sizes, std::vector<int64_t>());
  EXPECT_EQ(read(npy("|u1", "False", "3,", "abc")).tensors[0].sizes, std::vector<int64_t>{3});
}

TEST_F(NumpyFile, RefusesInOneLine) {
  EXPECT_THAT(error_for(npy("<f4", "False", "2", floats({1}))), HasSubstr("not those of its shape"));
  EXPECT_THAT(error_for(npy(">f4", "False", "1", floats({1}))), HasSubstr("little-endian"));
  EXPECT_THAT(error_for(npy("|O", "False", "1", floats({1}))), HasSubstr("little-endian"));
  EXPECT_THAT(error_for(npy("<f4", "False", "-1", "")), HasSubstr("shape"));
  EXPECT_THAT(error_for(npy("<f8", "False", "4611686018427387904, 4", "")), HasSubstr("shape"));
  EXPECT_THAT(error_for("hello, this is no array"), HasSubstr("not a NumPy array"));
  EXPECT_THAT(error_for(std::string("\x93NUMPY\x01\x00\xff\xff{", 11) + "   "), HasSubstr("cut off"));
  EXPECT_THAT(error_for(npy("<f4", "False", "1", floats({1})), "a.txt"), HasSubstr("end in .npy"));
  write_bytes(path_, "no zip");
  EXPECT_THROW(read_npz(path_), Error);
}

}  // namespace
}  // namespace mambaseg

#include "mambaseg/io/safetensors.h"
#include "mambaseg/report/label_table.h"
#include "tests/fuzz/target.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {

/// A .safetensors file, and the labels that the plan in its metadata names.
void fuzz_model(const std::string& bytes, const std::string& folder) {
  const std::string path = folder + "/model.safetensors";
  write_bytes(path, bytes);
  unsigned sum = 0;
  for (const StoredTensor& tensor : read_safetensors(path).tensors)
    for (const std::byte byte : tensor.bytes) sum += std::to_integer<unsigned>(byte);  // every byte is there
  volatile unsigned used = sum;
  (void)used;
  read_label_table(path);
}

}  // namespace mambaseg

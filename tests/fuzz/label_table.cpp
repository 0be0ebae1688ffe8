#include "mambaseg/report/label_table.h"

#include "mambaseg/core/error.h"
#include "mambaseg/report/table_file.h"
#include "tests/fuzz/target.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {

/// The first letter chooses the kind of table: comma-separated, tab-separated, FreeSurfer's colours, JSON,
/// TOML, or columns for report subsets.
void fuzz_label_table(const std::string& bytes, const std::string& folder) {
  if (bytes.empty()) return;
  const char kind = bytes[0];
  const std::string path = folder + "/labels" +
                           (kind == 'c'   ? ".csv"
                            : kind == 't' ? ".tsv"
                            : kind == 'j' ? ".json"
                            : kind == 'm' ? ".toml"
                                          : ".txt");
  write_bytes(path, bytes.substr(1));
  kind == 's' ? void(read_table_file(path)) : void(read_label_table(path));
}

}  // namespace mambaseg

#include "mambaseg/data/plan.h"

#include "mambaseg/report/label_table.h"
#include "tests/fuzz/target.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {

/// The JSON of a plan.
void fuzz_plan(const std::string& bytes, const std::string& folder) {
  const std::string path = folder + "/plan.json";
  write_bytes(path, bytes);
  const Json json = read_json(path);
  const auto plan = from_json<Plan>(json, "plan");
  to_json(plan).dump();
  label_table_from_json(json, path);
}

}  // namespace mambaseg

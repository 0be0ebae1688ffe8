// fuzz_seeds RECIPES FOLDER writes FOLDER/TARGET/NAME for every seed.
#include <filesystem>
#include <iostream>

#include "tests/fuzz/seeds.h"
#include "tests/io/temporary_folder.h"

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "usage: fuzz_seeds RECIPES FOLDER\n";
    return 2;
  }
  for (const mambaseg::FuzzSeed& seed : mambaseg::fuzz_seeds(arguments[1])) {
    const std::filesystem::path folder = std::filesystem::path(arguments[2]) / seed.target;
    std::filesystem::create_directories(folder);
    mambaseg::write_bytes((folder / seed.name).string(), seed.bytes);
  }
}

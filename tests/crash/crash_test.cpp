// Ends train, predict, prepare and evaluate, alone and as workers, at one after the other of their calls that
// make, change or remove files, or tells them there that the disk is full: what is there afterwards is whole,
// and the next start gives, bit for bit, what an undisturbed run gives, and leaves nothing temporary.
//
// Every point takes two runs, so the test takes one in kStride of them, others for each command, and the last
// ones, after which there is little left to do; MAMBASEG_CRASH_STRIDE=1 takes all.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>

#include <gtest/gtest.h>
#include <torch/utils.h>
#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "mambaseg/io/cohort.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/safetensors.h"
#include "mambaseg/session/failure.h"
#include "tests/crash/shim.h"
#include "tests/io/temporary_folder.h"
#include "tests/train/drawn_boxes.h"
#include "tests/train/training_states.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;
using Command = std::function<Words(const std::string& output)>;
using Files = std::map<std::string, std::string>;  // relative name, content

constexpr long kStride = 83, kLast = 4;
constexpr const char* kRecipe = R"(
[network]
name = "plain_unet"
features = [2, 4]
convolutions = [1]
decoder_convolutions = [1]
deep_supervision = false

[plan]
conform = "none"
orientation = "RAS"
step = 8
patch = [8, 8, 8]
classes = [{ name = "box", ids = [1] }]

[data.split]
validation = ["c2"]

[sampling]
kind = "random"
patches_per_case = 2

[training]
epochs = 2
save_every_steps = 1
learning_rate = 1e-2
)";

struct Outcome {
  int exit_code = -1;  // -1: killed
  long calls = 0;
  std::string err;
};

bool is_temporary(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with(".mambaseg-") || name == ".lock";
}

/// Runs the program in a process of its own that ends at call `at` under `folder`. (LibTorch is loaded once,
/// here.)
Outcome run(const Words& words, const std::string& folder, long at, CrashMode mode, const std::string& log) {
  auto* calls = static_cast<long*>(
      mmap(nullptr, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const pid_t child = fork();
  if (child == 0) {
    for (const int number : {STDOUT_FILENO, STDERR_FILENO})
      dup2(open((log + std::to_string(number)).c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0666), number);
    std::vector<char*> arguments{const_cast<char*>("mambaseg")};
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    crash_arm(folder.c_str(), at, mode, calls);
    const int code = run_program(static_cast<int>(arguments.size()), arguments.data(), current_failure);
    std::fflush(nullptr);
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  Outcome outcome;
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  outcome.calls = *calls;
  outcome.err = read_bytes(log + "2");
  munmap(calls, sizeof(long));
  return outcome;
}

/// The content of a journal but for times.
std::string without_times(const std::string& journal) {
  std::string out;
  std::istringstream lines(journal);
  for (std::string line; std::getline(lines, line);) {
    auto json = nlohmann::json::parse(line);
    for (const char* time : {"seconds", "patches_per_s", "waited_for_data_s", "peak_memory_mib"})
      json.erase(time);
    if (json.contains("validation")) json["validation"].erase("seconds");
    out += json.dump() + "\n";
  }
  return out;
}

Files files_in(const std::string& folder) {
  Files files;
  if (!fs::exists(folder)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      files[fs::relative(entry.path(), folder).string()] = read_bytes(entry.path().string());
  return files;
}

class Crash : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    torch::set_num_threads(1);
    folder = new TemporaryFolder;
    for (const char* sub : {"data", "data/images", "data/labels"}) fs::create_directory(*folder / sub);
    for (int number = 0; number < 3; ++number) {
      const std::string name = "c" + std::to_string(number) + ".nii.gz";
      draw_boxes(*folder / ("data/images/" + name), *folder / ("data/labels/" + name), {10, 9, 8}, 40,
                 {{{1 + number, 2, 2}, {4, 4, 4}, 90, 1}});
    }
    Geometry larger;
    larger.size = {11, 9, 8};
    Volume<float> other(larger, 40);
    other.at(3, 3, 3) = 90;
    write_volume(*folder / "data/other.nii.gz", other);
    write_bytes(*folder / "recipe.toml", kRecipe);
  }
  static void TearDownTestSuite() { delete folder; }

  /// A command that is given the recipe and the data.
  static Words with_recipe(const char* command, const std::string& output) {
    return {command,     *folder / "recipe.toml",
            "--set",     "data.dataset.folder=" + (*folder / "data"),
            "-o",        output,
            "--threads", "1"};
  }
  static Words train(const std::string& output) { return with_recipe("train", output); }
  static Words evaluate(const std::string& output) {
    const std::string labels = *folder / "data/labels";
    return {"evaluate", "-r", labels, "-p", labels, "-o", output, "--threads", "1"};
  }
  /// A model to predict with.
  static std::string model() {
    const std::string run_folder = *folder / "model";
    if (!fs::exists(run_folder)) run(train(run_folder), "/none", 0, CrashMode::count, *folder / "log");
    return run_folder + "/best.safetensors";
  }

  /// What is there must be whole: it can be read, or is what the undisturbed run made.
  static void expect_whole(const std::string& output, const Files& expected, const std::string& point) {
    for (const auto& [name, bytes] : files_in(output)) {
      const fs::path path = fs::path(output) / name;
      if (is_temporary(path)) continue;
      SCOPED_TRACE(point + ", " + name);
      if (path.extension() == ".jsonl") continue;  // its last line may be half; the next start drops it
      if (path.extension() == ".safetensors") {
        EXPECT_NO_THROW(read_safetensors(path.string()));
      } else if (path.extension() == ".pt" || path.extension() == ".svg") {
        EXPECT_FALSE(bytes.empty());  // of an earlier epoch; the resumed run shows whether it is whole
      } else {
        EXPECT_EQ(bytes, expected.at(name));
      }
    }
  }

  static void expect_same(const Files& got, const Files& expected, const std::string& point) {
    for (const auto& [name, bytes] : expected) {
      SCOPED_TRACE(point + ", " + name);
      ASSERT_TRUE(got.count(name));
      if (name == "journal.jsonl") {
        EXPECT_EQ(without_times(got.at(name)), without_times(bytes));
      } else if (name.ends_with(".jsonl")) {  // of a case in a cohort: it tells of every start
        const auto states = read_cohort(*folder / "output");
        EXPECT_TRUE(std::any_of(states.begin(), states.end(), [&](const CohortState& one) {
          return name == "cohort/" + one.one.name + ".jsonl" && one.state() == "done";
        }));
      } else if (name == "last.safetensors") {
        expect_same_training_state(*folder / "output", *folder / "whole");
      } else if (!name.ends_with(".pt")) {  // read with last.safetensors: LibTorch numbers anew what it loads
        EXPECT_TRUE(got.at(name) == bytes);
      }
    }
    for (const auto& [name, bytes] : got) EXPECT_TRUE(expected.count(name)) << point << " left " << name;
  }

  /// `start` is the command that writes into `output`, `again` what the user types after it broke off.
  static void sweep(const char* name, CrashMode mode, const Command& start, const Command& again) {
    const std::string output = *folder / "output", log = *folder / "log";
    fs::remove_all(output);
    const Outcome whole = run(start(output), output, 0, mode, log);
    ASSERT_EQ(whole.exit_code, 0) << whole.err;
    ASSERT_GT(whole.calls, kLast);
    const Files expected = files_in(output);
    fs::remove_all(*folder / "whole");
    fs::copy(output, *folder / "whole", fs::copy_options::recursive);
    const char* asked = std::getenv("MAMBASEG_CRASH_STRIDE");
    const long stride =
        std::min(asked != nullptr ? std::max(1L, std::atol(asked)) : kStride, std::max(1L, whole.calls / 6));
    long points = 0;
    const long last = whole.calls - kLast;
    for (long at = 1 + whole.calls % stride; at <= whole.calls && !HasFatalFailure();
         at = at < last ? std::min(at + stride, last) : at + 1, ++points) {
      const std::string point = std::string(name) + ", call " + std::to_string(at);
      fs::remove_all(output);
      const Outcome broken = run(start(output), output, at, mode, log);
      if (mode == CrashMode::kill) {
        EXPECT_EQ(broken.exit_code, -1) << point;
      } else {
        EXPECT_TRUE(broken.exit_code == 0 || broken.exit_code == 1) << point << ": " << broken.err;
        if (broken.exit_code == 1) {
          EXPECT_NE(broken.err.find("No space left on device"), std::string::npos) << point << broken.err;
        }
        for (const auto& [left, bytes] : files_in(output))
          EXPECT_FALSE(is_temporary(left)) << point << " left " << left;
      }
      expect_whole(output, expected, point);
      const Outcome rest = run(again(output), "/none", 0, CrashMode::count, log);
      ASSERT_EQ(rest.exit_code, 0) << point << ": " << rest.err;
      expect_same(files_in(output), expected, point);
    }
    EXPECT_GT(points, kLast);
    std::printf("%s: %ld of %ld points\n", name, points, whole.calls);
  }

  /// The same is typed again.
  static void sweep(const char* name, CrashMode mode, const Command& command) {
    sweep(name, mode, command, command);
  }
  /// `command` writes one file, in a folder that it has to make.
  static void sweep_file(const char* name, CrashMode mode, const char* file, const Command& command) {
    sweep(name, mode, [&](const std::string& output) { return command(output + "/new/" + file); });
  }

  static TemporaryFolder* folder;
};
TemporaryFolder* Crash::folder;

/// Whether the image at `path` is not there, or the one or the other.
testing::AssertionResult is_whole(const std::string& path, const Image& former, const Image& latter) {
  if (!fs::exists(path)) return testing::AssertionSuccess();
  try {
    const Image image = read_image(path);
    for (const Image* one : {&former, &latter})
      if (image.geometry == one->geometry && image.voxels == one->voxels) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "a mixture of two images";
  } catch (const Error& error) {
    return testing::AssertionFailure() << error.what();
  }
}

/// A run that has begun is resumed; before, there is nothing to resume.
Words train_again(const std::string& output, const Words& start) {
  if (fs::exists(output + "/recipe.toml")) return {"train", "--resume", "-o", output, "--threads", "1"};
  return start;
}

class CrashModes : public Crash, public testing::WithParamInterface<CrashMode> {};

TEST_P(CrashModes, Train) {
  sweep("train", GetParam(), train,
        [](const std::string& output) { return train_again(output, train(output)); });
}

TEST_P(CrashModes, Prepare) {
  sweep("prepare", GetParam(), [](const std::string& output) { return with_recipe("prepare", output); });
}

TEST_P(CrashModes, Predict) {
  sweep("predict", GetParam(), [](const std::string& output) -> Words {
    return {"predict",       "-m",        model(), "-i", *folder / "data/images", "-o", output, "--resume",
            "--probability", "--threads", "1"};
  });
}

TEST_P(CrashModes, PredictAsAWorker) {
  sweep("predict --shard", GetParam(), [](const std::string& output) -> Words {
    return {"predict",   "-m",   model(),   "-i",  *folder / "data/images",
            "-o",        output, "--shard", "1/1", "--probability",
            "--threads", "1"};
  });
}

TEST_P(CrashModes, EvaluateAsAWorker) {
  sweep("evaluate --shard", GetParam(), [](const std::string& output) {
    Words words = evaluate(output);
    words.insert(words.end(), {"--shard", "1/1"});
    return words;
  });
}

TEST_P(CrashModes, Evaluate) { sweep("evaluate", GetParam(), evaluate); }

TEST_P(CrashModes, EvaluateToAFile) { sweep_file("evaluate to a file", GetParam(), "scores.json", evaluate); }

TEST_P(CrashModes, Plan) {
  sweep("plan", GetParam(), [](const std::string& output) { return with_recipe("plan", output); });
}

TEST_P(CrashModes, Convert) {
  sweep_file("convert", GetParam(), "model.safetensors", [](const std::string& output) -> Words {
    return {"convert", model(), output, "--recipe", *folder / "recipe.toml"};
  });
}

TEST_P(CrashModes, Compare) {
  sweep("compare", GetParam(), [](const std::string& output) -> Words {
    const std::string labels = *folder / "data/labels";
    return {"compare", labels, labels, "--name", "a",         "--name", "b",
            "-r",      labels, "-o",   output,   "--threads", "1"};
  });
}

/// Images in two files that replace others: never the header of one with the voxels of the other.
TEST_P(CrashModes, ImagesInTwoFiles) {
  const std::string output = *folder / "output", log = *folder / "log";
  for (const std::string ending : {".hdr", ".mhd", ".nhdr"}) {
    const std::string path = output + "/labels" + ending;
    const auto predict = [&](const char* image) -> Words {
      return {"predict", "-m", model(),     "-i", *folder / (std::string("data/") + image),
              "-o",      path, "--threads", "1"};
    };
    const auto made = [&](const char* image) {
      fs::remove_all(output);
      const Outcome outcome = run(predict(image), "/none", 0, CrashMode::count, log);
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
      return read_image(path);
    };
    const Image latter = made("images/c1.nii.gz"), former = made("other.nii.gz");
    ASSERT_FALSE(latter.voxels == former.voxels);
    const Files before = files_in(output);
    const long calls = run(predict("images/c1.nii.gz"), output, 0, CrashMode::count, log).calls;
    ASSERT_GT(calls, 8);
    for (long at = 1; at <= calls; ++at) {
      SCOPED_TRACE(concat(ending, ", call ", at));
      fs::remove_all(output);
      fs::create_directory(output);
      for (const auto& [name, bytes] : before) write_bytes(output + "/" + name, bytes);
      run(predict("images/c1.nii.gz"), output, at, GetParam(), log);
      EXPECT_TRUE(is_whole(path, former, latter));
      ASSERT_EQ(run(predict("images/c1.nii.gz"), "/none", 0, CrashMode::count, log).exit_code, 0);
      EXPECT_TRUE(fs::exists(path) && is_whole(path, latter, latter));
      EXPECT_EQ(files_in(output).size(), before.size());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, CrashModes, testing::Values(CrashMode::kill, CrashMode::full),
                         [](const auto& info) {
                           return info.param == CrashMode::kill ? "Killed" : "DiskFull";
                         });

}  // namespace
}  // namespace mambaseg

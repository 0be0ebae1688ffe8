#include <cmath>
#include <filesystem>

#include "mambaseg/io/safetensors.h"
#include "mambaseg/nets/model/tensor_file.h"
#include "tests/golden_check/golden_case.h"
#include "tests/golden_check/weights_rule.h"

namespace mambaseg {
namespace {

Json json_of(const GoldenCase& golden, const std::string& key) {
  const auto found = golden.metadata.find(key);
  return found == golden.metadata.end() ? Json() : Json::parse(found->second);
}

/// x[::stride0, ::stride1, ...]
torch::Tensor thinned(torch::Tensor value, const std::vector<int64_t>& strides) {
  for (size_t axis = 0; axis < strides.size(); ++axis)
    value = value.slice(static_cast<int64_t>(axis), c10::nullopt, c10::nullopt, strides[axis]);
  return value;
}

std::string sizes_text(const torch::Tensor& tensor) {
  std::ostringstream out;
  out << tensor.sizes();
  return out.str();
}

bool starts_with(const std::string& text, const char* prefix) { return text.rfind(prefix, 0) == 0; }

/// grad_output of output.y, grad_output<i> of output.y<i>, in the size of the whole output.
void make_output_gradients(GoldenCase& golden, const std::string& salt) {
  std::map<std::string, torch::Tensor> made;
  for (const auto& [key, tensor] : golden.tensors) {
    const std::string prefix = "output.y";
    if (!starts_with(key, prefix.c_str())) continue;
    const std::string name = "grad_output" + key.substr(prefix.size());
    const Json whole = json_of(golden, key + ".full_shape");
    const auto sizes = whole.is_array() ? whole.get<std::vector<int64_t>>() : tensor.sizes().vec();
    made[name] = tensor_by_rule(salt, name, sizes, 0, 1);
  }
  golden.tensors.insert(made.begin(), made.end());
}

/// Adds the tensors that the file gives by the rule.
void make_by_rule(GoldenCase& golden) {
  const auto rule = golden.metadata.find("weights_rule");
  if (rule == golden.metadata.end()) return;
  require(rule->second == "splitmix64/1", golden.name, ": the rule ", rule->second, " is not known");
  const std::string salt = golden.metadata.at("seed");
  const auto make = [&](const Json& table, const std::string& prefix, const std::string& of_name) {
    if (!table.is_object()) return;
    for (const auto& [name, entry] : table.items())
      if (!entry.contains("alias"))
        golden.tensors[prefix + name] =
            tensor_by_rule(salt, of_name + name, entry.at("shape").get<std::vector<int64_t>>(),
                           entry.value("offset", 0.0), entry.value("scale", 1.0));
  };
  const Json weights = json_of(golden, "weights_table");
  make(weights, "weights.", "");
  if (weights.is_object())
    for (const auto& [name, entry] : weights.items())
      if (entry.contains("alias"))
        golden.tensors["weights." + name] = golden.at("weights." + entry["alias"].get<std::string>());
  make(json_of(golden, "inputs_rule"), "input.", "input.");
  if (golden.metadata.count("grad_output_rule") != 0) make_output_gradients(golden, salt);
  for (auto& [name, tensor] : golden.tensors)
    if (name.ends_with(".num_batches_tracked")) tensor = tensor.reshape({});
}

}  // namespace

const torch::Tensor& GoldenCase::at(const std::string& tensor_name) const {
  const auto found = tensors.find(tensor_name);
  require(found != tensors.end(), name, ": no tensor ", tensor_name);
  return found->second;
}

std::map<std::string, torch::Tensor> GoldenCase::weights() const {
  std::map<std::string, torch::Tensor> out;
  for (const auto& [key, tensor] : tensors) {
    if (starts_with(key, "weights.")) out[key.substr(8)] = tensor;
    if (starts_with(key, "weights_i8.")) {
      const std::string weight = key.substr(11);
      out[weight] = tensor.to(torch::kFloat) * at("weights_scale." + weight);
    }
  }
  const Json aliases = json_of(*this, "weights_aliases");
  if (aliases.is_object())
    for (const auto& [alias, stored] : aliases.items()) {
      require(out.count(stored) != 0, name, ": alias of ", stored, ", which is not there");
      out[alias] = out[stored];
    }
  return out;
}

GoldenCase read_golden(const std::string& path) {
  const TensorFile file = read_safetensors(path);
  GoldenCase golden;
  golden.name = std::filesystem::path(path).stem().string();
  golden.metadata = file.metadata;
  for (const char* key : {"official_class", "args", "tolerance"})
    require(file.metadata.count(key) != 0, path, ": no ", key, " in the metadata");
  golden.official_class = file.metadata.at("official_class");
  golden.args = json_of(golden, "args");
  for (const StoredTensor& tensor : file.tensors) golden.tensors[tensor.name] = to_tensor(tensor);
  if (const auto source = file.metadata.find("source"); source != file.metadata.end())
    golden.repository = source->second.substr(0, source->second.find_first_of("@:"));
  make_by_rule(golden);
  return golden;
}

namespace {

/// The number behind `key` in a tolerance written as a sentence; 0 when that begins with "exact".
double tolerance_in_words(const GoldenCase& golden, const std::string& key) {
  const std::string& text = golden.metadata.at("tolerance");
  if (starts_with(text, "exact")) return 0;
  const size_t found = text.find(key);
  require(found != std::string::npos, golden.name, ": the tolerance does not say \"", key, "\"");
  return std::stod(text.substr(found + key.size()));
}

bool has_tolerance_table(const GoldenCase& golden) {
  return golden.metadata.at("tolerance").starts_with("{");
}

}  // namespace

double GoldenComparison::output_tolerance(const std::string& name) const {
  if (!has_tolerance_table(golden_)) return tolerance_in_words(golden_, "outputs: max abs diff <=");
  const Json table = json_of(golden_, "tolerance");
  require(table.contains(name), golden_.name, ": no tolerance of ", name);
  return table[name];
}

double GoldenComparison::gradient_tolerance(const torch::Tensor& expected) const {
  if (!has_tolerance_table(golden_)) return tolerance_in_words(golden_, "gradients: max abs diff <=");
  // The files advise 50 times the relative tolerance of the outputs.
  constexpr double kWider = 50;
  double relative = 0;
  const Json table = json_of(golden_, "tolerance");
  for (const auto& [name, allowed] : table.items())
    if (golden_.has("output." + name))
      relative =
          std::max(relative, allowed.get<double>() / golden_.at("output." + name).abs().max().item<double>());
  // Sums of numbers as large as the largest gradient that cancel each other leave their rounding.
  double largest = 1;
  for (const auto& [name, tensor] : golden_.tensors)
    if (starts_with(name, "grad.")) largest = std::max(largest, tensor.abs().max().item<double>());
  return kWider * relative * std::max(1e-3 * largest, expected.abs().max().item<double>());
}

namespace {

/// What was computed, wherever, to be compared.
torch::Tensor on_cpu(const torch::Tensor& value) { return value.detach().to(torch::kCPU, torch::kDouble); }

double farthest(const torch::Tensor& a, const torch::Tensor& b) {
  return a.numel() == 0 ? 0 : (on_cpu(a) - on_cpu(b)).abs().max().item<double>();
}

}  // namespace

void GoldenComparison::fail(const std::string& remark) {
  if (result_.passed) result_.remark = remark;
  result_.passed = false;
}

void GoldenComparison::compare(const std::string& name, const torch::Tensor& expected,
                               const torch::Tensor& value, double tolerance) {
  compared_.insert(name);
  if (expected.sizes() != value.sizes())
    return fail(concat(name, " has sizes ", sizes_text(value), ", expected ", sizes_text(expected)));
  const double error = farthest(value, expected);
  if (!(error <= result_.error)) result_.error = error;  // also takes NaN
  if (!(error <= tolerance)) fail(concat(name, " is off by ", error, ", allowed ", tolerance));
}

void GoldenComparison::stats(const std::string& name, const torch::Tensor& value, double tolerance) {
  const torch::Tensor expected = golden_.at(name).to(torch::kDouble);
  const torch::Tensor x = on_cpu(value);
  const double found[] = {x.mean().item<double>(), x.std(false).item<double>(), x.min().item<double>(),
                          x.max().item<double>(), x.abs().sum().item<double>()};
  const double allowed[] = {tolerance, tolerance, tolerance, tolerance,
                            tolerance * static_cast<double>(x.numel())};
  const char* what[] = {"mean", "deviation", "minimum", "maximum", "sum of absolute values"};
  for (int i = 0; i < 5; ++i) {
    const double error = std::abs(found[i] - expected[i].item<double>());
    if (!(error <= allowed[i]))
      fail(concat(what[i], " of ", name, " is off by ", error, ", allowed ", allowed[i]));
  }
}

void GoldenComparison::output(const std::string& name, const torch::Tensor& value) {
  const std::string key = "output." + name;
  const double tolerance = output_tolerance(name);
  const Json strides = json_of(golden_, key + ".stride"), full_shape = json_of(golden_, key + ".full_shape");
  if (full_shape.is_array() && full_shape.get<std::vector<int64_t>>() != value.sizes().vec())
    return fail(concat(key, " has sizes ", sizes_text(value), ", expected ", full_shape.dump()));
  const torch::Tensor thin = strides.is_array() ? thinned(value, strides.get<std::vector<int64_t>>()) : value;
  compare(key, golden_.at(key), thin, tolerance);
  for (const std::string& stored : {"stats." + name, "stats." + key})
    if (golden_.has(stored)) stats(stored, value, tolerance);
}

void GoldenComparison::gradient(const std::string& name, const torch::Tensor& value) {
  const std::string key = "grad." + name;
  if (!golden_.has(key)) {
    if (value.defined()) compare(key, torch::zeros_like(value), value, gradient_tolerance(torch::zeros({1})));
    return;
  }
  const torch::Tensor& expected = golden_.at(key);
  const torch::Tensor found = thinned_gradient(key, value);
  const double tolerance = gradient_tolerance(expected);
  if (expected.sizes() == found.sizes() && !(farthest(found, expected) <= tolerance)) {
    doubtful_[key] = found.detach().clone();
    compared_.insert(key);
    result_.error = std::max(result_.error, farthest(found, expected));
  } else {
    compare(key, expected, found, tolerance);
  }
}

torch::Tensor GoldenComparison::thinned_gradient(const std::string& key, const torch::Tensor& value) const {
  if (!value.defined()) return torch::zeros_like(golden_.at(key));
  const Json strides = json_of(golden_, key + ".stride");
  return strides.is_array() ? thinned(value, strides.get<std::vector<int64_t>>()) : value;
}

void GoldenComparison::settle(const std::string& name, const torch::Tensor& exact) {
  const auto found = doubtful_.find("grad." + name);
  if (found == doubtful_.end()) return;
  const auto& [key, ours] = *found;
  const torch::Tensor &expected = golden_.at(key), truth = thinned_gradient(key, exact);
  constexpr double kDeviations = 20, kChance = 2;
  const double own = farthest(ours, truth), theirs = farthest(expected, truth);
  if (own <= std::max(gradient_tolerance(expected), kChance * theirs) && theirs <= kDeviations * own)
    result_.remark =
        concat(key, ": off by ", farthest(ours, expected), "; off fp64 ", own, ", the file's ", theirs);
  else
    fail(concat(key, " is off by ", farthest(ours, expected), ", allowed ", gradient_tolerance(expected),
                "; off fp64 ", own, ", the file's ", theirs));
  doubtful_.erase(found);
}

GoldenResult GoldenComparison::result() const {
  GoldenResult result = result_;
  if (has_doubtful() && result.passed) {
    const auto& [key, value] = *doubtful_.begin();
    result.remark = concat(key, " is off by ", farthest(value, golden_.at(key)), ", allowed ",
                           gradient_tolerance(golden_.at(key)));
    result.passed = false;
  }
  for (const auto& [name, tensor] : golden_.tensors)
    if ((starts_with(name, "output.") || starts_with(name, "grad.")) && compared_.count(name) == 0) {
      if (result.passed) result.remark = name + " was not compared";
      result.passed = false;
    }
  return result;
}

}  // namespace mambaseg

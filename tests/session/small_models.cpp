#include "tests/session/small_models.h"

#include <omp.h>

#include <torch/utils.h>

#include "mambaseg/nets/model/checkpoint.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace mambaseg {
namespace {

void write_model(const std::string& path, const std::string& network, const Json& plan, int64_t maps) {
  torch::manual_seed(7);
  Json config = find_network(network).small;
  config.update({{"name", network}, {"classes", maps}});
  const auto net = make_network(config);
  if (maps == 1) {  // moves the scores of noise around 0: else one answer stands everywhere
    const torch::NoGradGuard no_grad;
    net->eval();
    const torch::Tensor middle = net->forward(torch::rand({1, 3, 32, 32})).front().median();
    for (const auto& parameter : net->named_parameters())
      if (parameter.key().ends_with("bias") && parameter.value().numel() == 1) parameter.value().sub_(middle);
  }
  save_model(path, *net, {config, plan, Json::object(), Json::object()});
}

}  // namespace

void write_volume_model(const std::string& path) {
  write_model(
      path, "medsegmamba",
      {{"conform", "none"},
       {"orientation", "RAS"},
       {"patch", {16, 16, 16}},
       {"classes", {{{"name", "Left-Ball"}, {"ids", {10}}}, {{"name", "Right-Ball"}, {"ids", {49}}}}}},
      3);
}

void write_picture_model(const std::string& path) {
  write_model(path, "unet", {{"task", "pictures"}, {"size", {32, 32}}, {"structure", "spot"}}, 1);
}

ThreadState thread_state() {
#if defined(__x86_64__)
  return {omp_get_max_threads(), _mm_getcsr()};
#else
  return {omp_get_max_threads(), 0};
#endif
}

}  // namespace mambaseg

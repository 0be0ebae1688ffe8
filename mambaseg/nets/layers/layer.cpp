#include "mambaseg/nets/layers/layer.h"

namespace mambaseg {

void Module::keep(std::string name, std::shared_ptr<torch::nn::Module> part) {
  torch::nn::Module::register_module(std::move(name), std::move(part));
}

}  // namespace mambaseg

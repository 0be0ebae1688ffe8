#include "mambaseg/nets/attention_unet.h"
#include "mambaseg/nets/ce_net.h"
#include "mambaseg/nets/hym_unet.h"
#include "mambaseg/nets/lbmnet.h"
#include "mambaseg/nets/medsegmamba.h"
#include "mambaseg/nets/network.h"
#include "mambaseg/nets/plain_unet.h"
#include "mambaseg/nets/resenc_unet.h"
#include "mambaseg/nets/segmambabot.h"
#include "mambaseg/nets/umamba.h"
#include "mambaseg/nets/unet.h"
#include "mambaseg/nets/unet_cbam.h"
#include "mambaseg/nets/unet_mamba.h"
#include "mambaseg/nets/unet_se.h"
#include "mambaseg/nets/vm_unet.h"

namespace mambaseg {

const std::vector<NetworkEntry>& networks() {
  static const std::vector<NetworkEntry> list{
      medsegmamba_entry(), segmambabot_entry(), lbmnet_entry(),         lbmnet_b_entry(),
      umamba_bot_entry(),  umamba_enc_entry(),  plain_unet_entry(),     resenc_unet_entry(),
      hym_unet_entry(),    vm_unet_entry(),     unet_entry(),           unet_se_entry(),
      unet_cbam_entry(),   unet_mamba_entry(),  attention_unet_entry(), ce_net_entry()};
  return list;
}

const NetworkEntry& find_network(const std::string& name) {
  std::vector<std::string> names;
  for (const NetworkEntry& entry : networks()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  const std::string near = nearest_word(name, names.data(), names.data() + names.size());
  throw UsageError(concat("no network is called ", name,
                          near.empty() ? "" : concat(", did you mean ", near, "?"),
                          " (mambaseg networks lists them)"));
}

std::shared_ptr<Network> make_network(const Json& config) {
  if (!config.is_object() || !config.contains("name") || !config["name"].is_string())
    throw UsageError("network: expected a table with a name, for example name = \"medsegmamba\"");
  Json settings = config;
  settings.erase("name");
  return find_network(config["name"].get<std::string>()).make(settings);
}

int64_t parameter_count(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const torch::Tensor& parameter : module.parameters())
    if (parameter.requires_grad()) count += parameter.numel();
  return count;
}

}  // namespace mambaseg

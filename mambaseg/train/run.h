#pragma once

#include <functional>
#include <string>

#include "mambaseg/config/config.h"
#include "mambaseg/config/recipe.h"
#include "mambaseg/data/datasets.h"
#include "mambaseg/tasks/task.h"
#include "mambaseg/train/schedule.h"

namespace mambaseg {

/// [training]
struct TrainingSettings {
  std::string start;
  int64_t epochs = 15;
  int64_t batch = 1;
  int64_t patches_per_step = 0;
  std::string optimizer = "adamw";
  double momentum = 0.99;
  bool nesterov = true;
  double learning_rate = 1e-3;
  double weight_decay = 1e-2;
  std::string decay = "all";
  std::vector<double> betas{0.9, 0.999};
  double epsilon = 1e-8;
  double clip_norm = 0;
  double ema = 0;
  std::string precision = "fp32";
  double loss_scale = 0;
  std::vector<double> deep_supervision{1, 0.5, 0.25, 0.125};
  int64_t validate_every = 1;
  double validation_average = 0;
  int64_t save_every_steps = 0;
  bool synchronise_batch_norm = false;
  bool recompute = false;
  uint64_t seed = 0;

  void describe(SettingsVisitor& visit) {
    visit("start", start,
          "file of weights that the run starts from as far as they fit: a model, or a published encoder "
          "(docs/recipes.md); empty: none");
    visit("epochs", epochs, "passes over the training cases", at_least(1));
    visit("batch", batch, "patches or pictures that go through the network together", at_least(1));
    visit("patches_per_step", patches_per_step,
          "patches whose gradients are averaged before the weights change; 0: all of a case (one scan = one "
          "batch), of pictures as many as `batch`",
          at_least(0));
    visit("optimizer", optimizer, "adamw; adam: its weight decay is part of the gradient; sgd",
          one_of({"adamw", "adam", "sgd"}));
    visit("momentum", momentum, "sgd: momentum", between(0, 0.9999999));
    visit("nesterov", nesterov, "sgd: the momentum is Nesterov's, as in nnU-Net");
    visit("learning_rate", learning_rate, "rate at the start of a period", at_least(0));
    visit("weight_decay", weight_decay, "weight decay", at_least(0));
    visit("decay", decay, "all: every parameter decays; weights: not biases, norms and the scan's A and D",
          one_of({"all", "weights"}));
    visit("betas", betas, "adam, adamw: decay rates of the two moments", between(0, 0.9999999));
    visit("epsilon", epsilon, "adam, adamw: added to the root of the second moment", at_least(0));
    visit("clip_norm", clip_norm, "largest norm of the gradient; 0: not clipped", at_least(0));
    visit("ema", ema,
          "share of the old in the moving average of the weights that validates and is kept as the best; 0: "
          "the "
          "weights themselves",
          between(0, 0.99999));
    visit("deep_supervision", deep_supervision,
          "weights of the outputs of a network with deep supervision, finest first; scaled to sum 1; empty: "
          "halved from one to the next, 0 for the coarsest (nnU-Net)",
          at_least(0));
    visit(
        "precision", precision,
        "bf16: convolutions and matrix products in bfloat16; the scan's state, norms and the loss stay fp32; "
        "fp16: the same in float16, on CUDA; tf32: fp32 of which they see 10 bits behind the point, on CUDA; "
        "auto: bf16 where the device multiplies it, else fp16 on CUDA and fp32 on a processor",
        one_of({"fp32", "tf32", "bf16", "fp16", "auto"}));
    visit("loss_scale", loss_scale,
          "first factor of the loss that keeps small gradients within fp16: halved, and the step left out, "
          "when "
          "a gradient overflows, doubled after 2000 steps without; 0: 65536 for fp16, none otherwise",
          at_least(0));
    visit("validation_average", validation_average,
          "share of the old in the moving average of the validation Dice that picks the best epoch (nnU-Net: "
          "0.9); 0: the Dice itself",
          between(0, 0.999));
    visit("validate_every", validate_every, "epochs between validations (the last epoch always is)",
          at_least(1));
    visit("save_every_steps", save_every_steps,
          "the state is also saved after so many steps; 0: after each epoch only", at_least(0));
    visit(
        "synchronise_batch_norm", synchronise_batch_norm,
        "several processes: batch norms take what all of them hold at a time for one batch (docs/ranks.md)");
    visit(
        "recompute", recompute,
        "what the blocks of the network compute is computed again in the backward pass instead of kept: less "
        "memory, more time, the same weights to the bit. For networks with blocks that can: nnU-Net's, "
        "LBMNet, "
        "MedSegMamba, VM-UNet and others made of their blocks");
    visit("seed", seed, "seed of weights, patches, augmentation, dropout");
  }
};

/// [data]
struct RunData {
  DatasetSettings dataset;
  SplitSettings split;
  std::string cache;

  void describe(SettingsVisitor& visit) {
    visit("dataset", dataset, "where the cases are");
    visit("split", split, "which of them train and validate");
    visit("cache", cache, "folder of prepared cases; empty: the folder `cache` of the run");
  }
};

/// A recipe: everything that decides what a training run does. The task decides further tables, as [plan] and
/// [augment].
struct RunSettings {
  AnyTask task = AnyTask("volumes");
  Json network = {{"name", "medsegmamba"}};
  RunData data;
  Json loss = {{"name", "dice_cross_entropy"}};
  TrainingSettings training;
  ScheduleSettings schedule;

  void describe(SettingsVisitor& visit);
};

/// Lays what `--set` names over a recipe: "training.epochs=3" (see set_by_path). UsageError for a key that
/// recipes do not have, with the nearest that they have.
void set_in_recipe(Recipe& recipe, const std::vector<std::string>& assignments);

/// The settings of a recipe, the defaults where it names none. UsageError on unknown keys and wrong values,
/// naming the file that has them.
RunSettings run_settings(const Recipe& recipe);

/// Told the settings before resolved() begins and after each of its steps, and where those come from that the
/// step filled in.
using ResolutionStep = std::function<void(const RunSettings& settings, const std::string& source)>;

/// The recipe with every setting of the network and the loss written out. The channels of volumes come from
/// the data where the recipe does not name them. What the plan decides of the network, as its number of
/// classes, is filled in; UsageError when the recipe names another number, or a loss that cannot learn the
/// plan's classes. A plan without classes takes those of the data set's dataset.json.
RunSettings resolved(RunSettings settings, const ResolutionStep& tell = nullptr);

}  // namespace mambaseg

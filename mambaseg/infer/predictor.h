#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mambaseg/data/label_scheme.h"
#include "mambaseg/data/preprocess.h"
#include "mambaseg/infer/plane_models.h"
#include "mambaseg/infer/precision.h"
#include "mambaseg/infer/score_resampler.h"
#include "mambaseg/infer/sliding_window.h"
#include "mambaseg/nets/model/checkpoint.h"

namespace mambaseg {

struct PredictorSettings {
  int64_t step = 0;   ///< voxels between patches; 0: the plan's
  int64_t batch = 1;  ///< patches that go through the network together
  /// What votes and volumes may take; 0: any amount. Sums are kept in half precision where they must be. On a
  /// GPU votes may take as much again, but no more than half of what is free there; else the host keeps them.
  double memory_gib = 0;
  bool probabilities = false;  ///< labels() hands out those, too: counted in what a case will take
  bool mirror = true;          ///< average over mirrored patches where the plan asks for it
  int64_t quarter_from = 0;    ///< QuarterMap on planes of that many tokens or more; 0: on none
  torch::Device device = torch::kCPU;
  Precision precision = Precision::fp32;
};

/// What a case will take, known before the network runs.
struct Work {
  Geometry grid;  ///< that the network sees
  Box box;        ///< that is covered with patches, in voxels of the grid
  int64_t patches = 0;
  std::vector<std::string> planes;  ///< whose slices are looked at; empty: patches of the volume
  int64_t peak_bytes =
      0;  ///< of votes, patches and volumes from here on; the network's activations come on top
  int64_t device_peak_bytes = 0;  ///< the same on the GPU
  torch::ScalarType votes = torch::kFloat32;
  int slab_axis = 2;           ///< along which votes are held slab by slab
  bool votes_on_host = false;  ///< although the network runs on a GPU
};

/// "256x256x256 voxels of ..., 60 patches of 96x96x96 at step 32, at most 512 MB for votes and volumes", and
/// with a GPU what it takes there.
std::string describe(const Work& work, const Plan& plan, int64_t step);

/// One model, or the mean of several of the same plan, applied to prepared images. Models of slices may be of
/// several planes: the weighted scores of all planes are summed before the class is chosen (PlaneModels).
class Predictor {
 public:
  /// Throws UsageError when the plan and the networks do not fit each other.
  Predictor(std::vector<Model> models, Plan plan, const PredictorSettings& settings);

  /// Reads model files; several form an ensemble and must agree in everything but the weights' history.
  static Predictor load(const std::vector<std::string>& paths, const PredictorSettings& settings);

  const Plan& plan() const { return plan_; }
  int64_t step() const { return window_.step; }
  /// How many probabilities a voxel has, and the number of the first: 0 is background, which regions do
  /// without.
  int64_t probability_maps() const { return window_.classes - first_probability(); }
  int64_t first_probability() const { return scheme_.regions() ? 1 : 0; }

  /// The box of patches: the non-zero part of the image, or its whole grid, as the plan says. `held_bytes` is
  /// what the caller keeps meanwhile and counts with the rest.
  Work plan_work(const PreparedImage& image, int64_t held_bytes = 0) const;
  /// The box of patches around `region`.
  Work plan_work(const PreparedImage& image, const Box& region, int64_t held_bytes = 0) const;

  /// Turns `automatic` into one of the others, tried on the patch in the middle of `work`, and returns a line
  /// for people; empty when the precision stands already.
  std::string settle_precision(const PreparedImage& image, const Work& work);

  /// Class numbers (LabelScheme) on the network's grid; 0 outside the box of patches. In fp32 while
  /// the precision is `automatic`.
  Volume<int32_t> classes(const PreparedImage& image, const Work& work, const Progress& progress = {}) const;

  /// Label numbers on the grid of the file, and where `slice` is given the class probabilities of every
  /// slice, or those of every region. With conform "spacing" and "none" the scores are brought to that grid,
  /// slice by slice, before the class is chosen; otherwise the nearest voxel's class counts. The voxels of
  /// `image` are freed on the way.
  Volume<int32_t> labels(PreparedImage&& image, const Work& work, const Progress& progress = {},
                         const ScoreResampler::Slice& slice = {}) const;

  /// The grid whose slices `labels` hands out: that of the file with its axes turned to Plan::orientation.
  Geometry score_grid(const Geometry& input) const;

 private:
  Work work_in(const PreparedImage& image, const Box& box, int64_t held_bytes) const;
  /// Whether the network's axes are the file's, turned.
  bool scores_reach_file() const;
  SlidingWindow window_for(const Work& work) const;
  /// The votes of all voxels of the box, with what comes of them as vote() has it.
  void cast_votes(const torch::Tensor& box_CIJK, const Work& work, int64_t side_axis,
                  const SlabVotes::Release& release, const Progress& progress) const;
  /// Bytes of the votes and all that making them takes.
  int64_t voting_bytes(const Work& work) const;
  int64_t device_budget() const;
  int64_t device_bytes(const Work& work) const;
  int64_t classes_peak(const Work& work, const Geometry& input) const;
  int64_t resampling_peak(const Work& work, const Geometry& input) const;
  torch::Tensor votes(const torch::Tensor& x_BCXYZ, Precision precision, int64_t side_axis) const;

  std::vector<Model> models_;
  std::optional<PlaneModels> planes_;  ///< those that see slices; nothing: patches of volumes
  Plan plan_;
  LabelScheme scheme_;
  SlidingWindow window_;
  double memory_gib_ = 0;
  bool probabilities_ = false;
  int64_t channels_ = 1;
  torch::Tensor other_sides_;  ///< other_side_maps; undefined where there are none
  Precision precision_;
};

}  // namespace mambaseg

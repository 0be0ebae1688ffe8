#pragma once

#include <cstdint>

#include "mambaseg/kernels/float16.h"
#include "mambaseg/kernels/target.h"

/// Votes for classes, from the scores of patches to class numbers. `rows` voxels have `classes` numbers each,
/// side by side. Sums lie in fp32 or fp16 and are made in fp32.
namespace mambaseg {

/// sums[r][c] += weights[r] * softmax(scores[r])[c]. `scratch` holds `classes` floats. Relative error of what
/// is added below 1e-6, and 1e-37 where a score lies 86 below the largest.
void add_softmax(const float* scores, int64_t rows, int64_t classes, const float* weights, float* sums,
                 float* scratch, SimdTarget target = best_target());
void add_softmax(const float* scores, int64_t rows, int64_t classes, const float* weights, Float16* sums,
                 float* scratch, SimdTarget target = best_target());

/// sums[r][c] += weights[r] * votes[r][c]
void add_weighted(const float* votes, int64_t rows, int64_t classes, const float* weights, float* sums,
                  SimdTarget target = best_target());
void add_weighted(const float* votes, int64_t rows, int64_t classes, const float* weights, Float16* sums,
                  SimdTarget target = best_target());

/// Numbers of a voxel in p below: the classes and zeros behind them, whole vectors.
int64_t padded_classes(int64_t classes);

/// What the sums of a voxel are divided by to be probabilities: their sum, or sums[r][0].
enum class VoteTotal { sum, first };
/// p[r][c] = sums[r][c] / total, rows of padded_classes numbers; a total below 1e-30 counts as that. Sums of
/// a voxel lie `stride` numbers behind those of the voxel before.
void normalise_votes(const float* sums, int64_t rows, int64_t classes, int64_t stride, VoteTotal total,
                     float* p, SimdTarget target = best_target());
void normalise_votes(const Float16* sums, int64_t rows, int64_t classes, int64_t stride, VoteTotal total,
                     float* p, SimdTarget target = best_target());

/// out = a + share * (b - a) of `count` numbers, a multiple of padded_classes; out may be a or b.
void blend_votes(const float* a, const float* b, float share, int64_t count, float* out,
                 SimdTarget target = best_target());

/// winner[r] = the first class whose votes are the largest (VoteTotal::sum), or the last above half of
/// votes[r][0] and else 0 (VoteTotal::first). At most 256 classes.
void winning_class(const float* votes, int64_t rows, int64_t classes, int64_t stride, VoteTotal total,
                   uint8_t* winner, SimdTarget target = best_target());
void winning_class(const Float16* votes, int64_t rows, int64_t classes, int64_t stride, VoteTotal total,
                   uint8_t* winner, SimdTarget target = best_target());

}  // namespace mambaseg

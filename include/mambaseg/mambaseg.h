#ifndef MAMBASEG_H
#define MAMBASEG_H

/*
 * libmambaseg for C and for every language that can call C: images to labels, and labels to scores.
 *
 * Functions that can fail return a code and, where `error` is not NULL, a line for people. No C++ exception
 * leaves them. What they make is given back by the function whose name ends with _close, which takes NULL as
 * well. Every function may be called from several threads at a time, but one thing must not be closed while
 * it is in use. A segmenter computes one image at a time on threads of its own (mambaseg_infer of several
 * threads takes turns); several segmenters compute side by side. The caller's thread and its settings of
 * OpenMP and of the processor stay as they are.
 */

#include <stdint.h>

#include "mambaseg/version.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define MAMBASEG_API
#else
#define MAMBASEG_API __attribute__((visibility("default")))
#endif

/* What becomes of a call; the first three are the exit codes of the program. */
enum {
  MAMBASEG_DONE = 0,
  MAMBASEG_FAILED = 1,   /* a file, an image that the model refuses, memory: another image may do */
  MAMBASEG_MISUSED = 2,  /* the call makes no sense: a null pointer, a size, a name that is not known */
  MAMBASEG_CANCELLED = 3 /* mambaseg_listener.progress asked for it */
};

/* Why a call did not do its work: one line, who, what was expected and what came. Ends with 0. */
typedef struct mambaseg_error {
  int32_t code;
  char message[1020];
} mambaseg_error;

/* The version of the library, as "0.1.0". */
MAMBASEG_API const char* mambaseg_version(void);

/* Who hears of the work of a call, on a thread of the library. What is not wanted is NULL. */
typedef struct mambaseg_listener {
  /* `done` of `total` parts of `what`. Another value than 0 ends the call with MAMBASEG_CANCELLED. */
  int32_t (*progress)(void* user, const char* what, int64_t done, int64_t total);
  void (*warn)(void* user, const char* line); /* what a person should know although the work goes on */
  void* user;
} mambaseg_listener;

/* Images */

typedef enum mambaseg_type {
  MAMBASEG_UINT8 = 1,
  MAMBASEG_INT8,
  MAMBASEG_UINT16,
  MAMBASEG_INT16,
  MAMBASEG_UINT32,
  MAMBASEG_INT32,
  MAMBASEG_UINT64,
  MAMBASEG_INT64,
  MAMBASEG_FLOAT32,
  MAMBASEG_FLOAT64
} mambaseg_type;

/*
 * A look at an image in memory that belongs to somebody else. What is not said is 0.
 * - A volume has size[0] x size[1] x size[2] voxels along its axes i, j, k, of one channel. `affine` brings
 * (i, j, k), whole numbers at the centres of voxels, to mm: x to the patient's right, y anterior, z superior,
 * as NIfTI and nibabel have it. Without it (all 0) the axes are x, y and z with `spacing` mm between voxels.
 * - A picture has size[0] columns and size[1] rows from the top, size[2] is 1 or 0; its values are of
 * MAMBASEG_UINT8, its channels 1 (grey), 3 (red, green, blue) or 4 (alpha). It has no mm: spacing and affine
 * are not read. The model says whether it is a volume or a picture.
 */
typedef struct mambaseg_image {
  const void* data; /* the first value */
  int32_t type;     /* a mambaseg_type */
  int32_t channels; /* 0 is 1 */
  int64_t size[3];
  int64_t stride[3]; /* bytes to the next value along i, j, k, also negative; all 0: i fastest, no gaps */
  int64_t channel_stride; /* bytes; 0: side by side, R G B R G B */
  double spacing[3];      /* mm */
  double affine[3][4];    /* rows */
} mambaseg_image;

/* An image that was read from a file. */
typedef struct mambaseg_file mambaseg_file;

/* Reads a volume (NIfTI, MGZ, NRRD, MetaImage, a DICOM file or folder) or a picture (PNG, JPEG, BMP).
   `listener` may be NULL; it is warned of headers that are read with a repair. */
MAMBASEG_API int32_t mambaseg_file_open(const char* path, const mambaseg_listener* listener,
                                        mambaseg_file** file, mambaseg_error* error);
/* Valid until the file is closed; all 0 for NULL. */
MAMBASEG_API mambaseg_image mambaseg_file_image(const mambaseg_file* file);
MAMBASEG_API void mambaseg_file_close(mambaseg_file* file);

/* Writes labels, or any image, in the format that the name says, under a temporary name until it is whole. */
MAMBASEG_API int32_t mambaseg_write(const mambaseg_image* image, const char* path, mambaseg_error* error);

/* Segmentation */

/* How a segmenter computes. All 0: as `mambaseg segment` does. */
typedef struct mambaseg_settings {
  const char* device;    /* "cpu" (NULL), "cuda", "cuda:1" */
  const char* precision; /* "fp32", "bf16", "auto" (NULL: bf16 where a trial on the first image keeps its
                            labels); on a GPU "tf32" and "fp16", too */
  int32_t threads;    /* of this segmenter; 0: as many as the machine has. The same number, the same labels */
  double memory_gib;  /* that votes and volumes may take; 0: any amount */
  const char* models; /* a folder of models that is searched before that of the installation; NULL: none */
} mambaseg_settings;

/* A model in memory. */
typedef struct mambaseg_segmenter mambaseg_segmenter;

/* `model`: a name (`mambaseg models` lists them), the folder or model.toml of one, or a file of weights.
   `settings`: NULL, all 0. */
MAMBASEG_API int32_t mambaseg_segmenter_open(const char* model, const mambaseg_settings* settings,
                                             mambaseg_segmenter** segmenter, mambaseg_error* error);
MAMBASEG_API void mambaseg_segmenter_close(mambaseg_segmenter* segmenter);
/* The card, or the file of weights, that the model comes from; valid until it is closed, NULL for NULL. */
MAMBASEG_API const char* mambaseg_segmenter_source(const mambaseg_segmenter* segmenter);
/* 1 when it reads pictures, 0 when it reads volumes. */
MAMBASEG_API int32_t mambaseg_segmenter_reads_pictures(const mambaseg_segmenter* segmenter);

/* Labels of an image, and what was found. */
typedef struct mambaseg_segmentation mambaseg_segmentation;

/*
 * Segments `image`, which is not needed afterwards. `second_look`: not 0 to look at the mirrored image, too,
 * as `mambaseg segment` does without --quick: doubtful labels are flagged, for twice the time. `listener` may
 * be NULL. The three steps below, one after the other.
 */
MAMBASEG_API int32_t mambaseg_segment(mambaseg_segmenter* segmenter, const mambaseg_image* image,
                                      int32_t second_look, const mambaseg_listener* listener,
                                      mambaseg_segmentation** segmentation, mambaseg_error* error);

/*
 * The same in steps, so that the next image is prepared and the last one finished while the network runs:
 * prepare copies and checks the image and brings it to the network's grid, infer runs the network, finish
 * makes labels and findings. Any thread may do any step. A case goes through each step once; one that failed
 * or was cancelled is only to be closed.
 */
typedef struct mambaseg_case mambaseg_case;

MAMBASEG_API int32_t mambaseg_prepare(const mambaseg_segmenter* segmenter, const mambaseg_image* image,
                                      int32_t second_look, const mambaseg_listener* listener,
                                      mambaseg_case** one, mambaseg_error* error);
MAMBASEG_API int32_t mambaseg_infer(mambaseg_segmenter* segmenter, mambaseg_case* one,
                                    const mambaseg_listener* listener, mambaseg_error* error);
MAMBASEG_API int32_t mambaseg_finish(const mambaseg_segmenter* segmenter, mambaseg_case* one,
                                     mambaseg_segmentation** segmentation, mambaseg_error* error);
MAMBASEG_API void mambaseg_case_close(mambaseg_case* one);

/* The labels: of a volume MAMBASEG_INT32 on the grid of the image, of a picture the mask that `mambaseg
   segment` writes. Valid until the segmentation is closed; all 0 for NULL. */
MAMBASEG_API mambaseg_image mambaseg_segmentation_labels(const mambaseg_segmentation* segmentation);

/* What was found of one structure. */
typedef struct mambaseg_structure {
  int64_t label;    /* its number in the labels */
  const char* name; /* valid until the segmentation is closed */
  int64_t voxels;   /* or pixels */
  double mm3;       /* of volumes */
  double percent;   /* of pictures: of all pixels */
  double agreement; /* Dice with the second look; NaN without one */
} mambaseg_structure;

MAMBASEG_API int32_t mambaseg_segmentation_structure_count(const mambaseg_segmentation* segmentation);
/* All 0 for an index that is not there. */
MAMBASEG_API mambaseg_structure mambaseg_segmentation_structure(const mambaseg_segmentation* segmentation,
                                                                int32_t index);
/* Why somebody should look at these labels, a line each; none: nothing is conspicuous. */
MAMBASEG_API int32_t mambaseg_segmentation_flag_count(const mambaseg_segmentation* segmentation);
MAMBASEG_API const char* mambaseg_segmentation_flag(const mambaseg_segmentation* segmentation, int32_t index);
MAMBASEG_API void mambaseg_segmentation_close(mambaseg_segmentation* segmentation);

/* Scores */

/* How labels are scored. All 0: as `mambaseg evaluate` does. */
typedef struct mambaseg_scoring {
  const char* metrics; /* names of docs/metrics.md, "Dice HD95"; "all"; NULL: the usual ones */
  double tolerance_mm; /* of the normalised surface Dice; 0 is 1 mm */
  int32_t threads;     /* 0: as many as the machine has */
} mambaseg_scoring;

typedef struct mambaseg_scores mambaseg_scores;

/* Scores every label that one of two volumes of whole numbers on one grid has. `scoring` may be NULL. */
MAMBASEG_API int32_t mambaseg_score(const mambaseg_image* reference, const mambaseg_image* prediction,
                                    const mambaseg_scoring* scoring, mambaseg_scores** scores,
                                    mambaseg_error* error);
MAMBASEG_API int32_t mambaseg_scores_label_count(const mambaseg_scores* scores);
MAMBASEG_API int32_t mambaseg_scores_label(const mambaseg_scores* scores, int32_t index);
MAMBASEG_API int32_t mambaseg_scores_metric_count(const mambaseg_scores* scores);
/* "Dice"; NULL for an index that is not there. Valid until the scores are closed. */
MAMBASEG_API const char* mambaseg_scores_metric(const mambaseg_scores* scores, int32_t index);
/* NaN where it is not defined or not there. */
MAMBASEG_API double mambaseg_scores_value(const mambaseg_scores* scores, int32_t label_index,
                                          int32_t metric_index);
MAMBASEG_API void mambaseg_scores_close(mambaseg_scores* scores);

#ifdef __cplusplus
}
#endif

#endif

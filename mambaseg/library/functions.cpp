// The functions of include/mambaseg/mambaseg.h: each turns pointers into values, calls the session, and turns
// what it throws into a code and a line.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

#include "mambaseg/core/error.h"
#include "mambaseg/library/views.h"
#include "mambaseg/mambaseg.h"
#include "mambaseg/session/failure.h"
#include "mambaseg/session/installation.h"
#include "mambaseg/session/scoring.h"

using namespace mambaseg;

struct mambaseg_file {
  AnyImage image;
};

struct mambaseg_segmenter {
  std::string source;
  Segmenter segmenter;
};

struct mambaseg_case {
  std::unique_ptr<ImageInWork> image;
};

struct mambaseg_segmentation {
  SegmentedImage found;
};

struct mambaseg_scores {
  ScoredLabels scored;
};

namespace {

/// Tells what went wrong, cut between characters of UTF-8 where it is too long.
int32_t told(const Failure& failure, mambaseg_error* error) {
  const auto code = static_cast<int32_t>(failure.outcome);
  if (!error) return code;
  error->code = code;
  size_t length = std::min(failure.line.size(), sizeof error->message - 1);
  if (length < failure.line.size())
    while (length > 0 && (static_cast<unsigned char>(failure.line[length]) & 0xC0) == 0x80) --length;
  std::memcpy(error->message, failure.line.data(), length);
  error->message[length] = 0;
  return code;
}

/// Runs `work`, whose first words in errors are `who`.
template <class Work>
int32_t guarded(const char* who, mambaseg_error* error, const Work& work) noexcept {
  if (error) *error = {};
  try {
    with_context(who, work);
    return MAMBASEG_DONE;
  } catch (...) {
    return told(current_failure(), error);
  }
}

template <class Thing>
Thing& given(Thing* thing, const char* name) {
  if (!thing) throw UsageError(concat(name, " is a null pointer"));
  return *thing;
}

/// The place for a result, which is null until there is one.
template <class Thing>
Thing*& place(Thing** result, const char* name) {
  given(result, name) = nullptr;
  return *result;
}

std::string or_default(const char* text, const char* otherwise) { return text ? text : otherwise; }

Listeners listeners_of(const mambaseg_listener* listener) {
  Listeners listeners;
  if (!listener) return listeners;
  const mambaseg_listener c = *listener;
  if (c.progress)
    listeners.progress = [c](const std::string& what, int64_t done, int64_t total) {
      if (c.progress(c.user, what.c_str(), done, total) != 0) throw Cancelled();
    };
  if (c.warn) listeners.warn = [c](const std::string& line) { c.warn(c.user, line.c_str()); };
  return listeners;
}

std::unique_ptr<ImageInWork> prepared(const mambaseg_segmenter& segmenter, const mambaseg_image* image,
                                      int32_t second_look, const Listeners& listeners) {
  AnyImage ours;
  if (segmenter.segmenter.reads_pictures())
    ours = picture_of(image, "image");
  else
    ours = volume_of(image, "image");
  return segmenter.segmenter.prepare(std::move(ours), second_look != 0, listeners);
}

const std::vector<StructureFinding>& structures_of(const mambaseg_segmentation* segmentation) {
  static const std::vector<StructureFinding> none;
  return segmentation ? segmentation->found.findings.structures : none;
}

const std::vector<std::string>& flags_of(const mambaseg_segmentation* segmentation) {
  static const std::vector<std::string> none;
  return segmentation ? segmentation->found.findings.flags : none;
}

template <class List>
bool has(const List& list, int32_t index) {
  return index >= 0 && static_cast<size_t>(index) < list.size();
}

template <class List>
int32_t count_of(const List& list) {
  return static_cast<int32_t>(list.size());
}

}  // namespace

const char* mambaseg_version(void) { return MAMBASEG_VERSION; }

int32_t mambaseg_file_open(const char* path, const mambaseg_listener* listener, mambaseg_file** file,
                           mambaseg_error* error) {
  return guarded("mambaseg_file_open", error, [&] {
    mambaseg_file*& result = place(file, "file");
    const std::string from = &given(path, "path");
    AnyImage image;
    if (is_picture_name(from))
      image = read_picture(from);
    else
      image = read_image(from, listeners_of(listener).warn);
    result = new mambaseg_file{std::move(image)};
  });
}

mambaseg_image mambaseg_file_image(const mambaseg_file* file) {
  if (!file) return {};
  return std::visit([](const auto& image) { return view_of(image); }, file->image);
}

void mambaseg_file_close(mambaseg_file* file) { delete file; }

int32_t mambaseg_write(const mambaseg_image* image, const char* path, mambaseg_error* error) {
  return guarded("mambaseg_write", error, [&] {
    const std::string to = &given(path, "path");
    if (is_picture_name(to))
      write_picture(to, picture_of(image, "image"));
    else if (given(image, "image").type == MAMBASEG_INT32)
      write_labels(to, labels_of(image, "image"));
    else
      write_image(to, volume_of(image, "image"));
  });
}

int32_t mambaseg_segmenter_open(const char* model, const mambaseg_settings* settings,
                                mambaseg_segmenter** segmenter, mambaseg_error* error) {
  return guarded("mambaseg_segmenter_open", error, [&] {
    mambaseg_segmenter*& result = place(segmenter, "segmenter");
    const std::string name = &given(model, "model");
    const mambaseg_settings c = settings ? *settings : mambaseg_settings{};
    std::vector<std::string> folders = model_folders();
    if (c.models) folders.insert(folders.begin(), c.models);
    const ModelInBox found = find_model({name}, folders);
    const RuntimeSettings runtime{or_default(c.device, "cpu"), or_default(c.precision, "auto"), c.threads};
    result = new mambaseg_segmenter{found.source, Segmenter(found, runtime, c.memory_gib)};
  });
}

void mambaseg_segmenter_close(mambaseg_segmenter* segmenter) { delete segmenter; }

const char* mambaseg_segmenter_source(const mambaseg_segmenter* segmenter) {
  return segmenter ? segmenter->source.c_str() : nullptr;
}

int32_t mambaseg_segmenter_reads_pictures(const mambaseg_segmenter* segmenter) {
  return segmenter && segmenter->segmenter.reads_pictures();
}

int32_t mambaseg_segment(mambaseg_segmenter* segmenter, const mambaseg_image* image, int32_t second_look,
                         const mambaseg_listener* listener, mambaseg_segmentation** segmentation,
                         mambaseg_error* error) {
  return guarded("mambaseg_segment", error, [&] {
    mambaseg_segmentation*& result = place(segmentation, "segmentation");
    Segmenter& ours = given(segmenter, "segmenter").segmenter;
    const Listeners listeners = listeners_of(listener);
    const std::unique_ptr<ImageInWork> one = prepared(*segmenter, image, second_look, listeners);
    ours.infer(*one, listeners);
    result = new mambaseg_segmentation{ours.finish(*one)};
  });
}

int32_t mambaseg_prepare(const mambaseg_segmenter* segmenter, const mambaseg_image* image,
                         int32_t second_look, const mambaseg_listener* listener, mambaseg_case** one,
                         mambaseg_error* error) {
  return guarded("mambaseg_prepare", error, [&] {
    mambaseg_case*& result = place(one, "one");
    result = new mambaseg_case{
        prepared(given(segmenter, "segmenter"), image, second_look, listeners_of(listener))};
  });
}

int32_t mambaseg_infer(mambaseg_segmenter* segmenter, mambaseg_case* one, const mambaseg_listener* listener,
                       mambaseg_error* error) {
  return guarded("mambaseg_infer", error, [&] {
    given(segmenter, "segmenter").segmenter.infer(*given(one, "one").image, listeners_of(listener));
  });
}

int32_t mambaseg_finish(const mambaseg_segmenter* segmenter, mambaseg_case* one,
                        mambaseg_segmentation** segmentation, mambaseg_error* error) {
  return guarded("mambaseg_finish", error, [&] {
    mambaseg_segmentation*& result = place(segmentation, "segmentation");
    result =
        new mambaseg_segmentation{given(segmenter, "segmenter").segmenter.finish(*given(one, "one").image)};
  });
}

void mambaseg_case_close(mambaseg_case* one) { delete one; }

mambaseg_image mambaseg_segmentation_labels(const mambaseg_segmentation* segmentation) {
  if (!segmentation) return {};
  return std::visit([](const auto& labels) { return view_of(labels); }, segmentation->found.labels);
}

int32_t mambaseg_segmentation_structure_count(const mambaseg_segmentation* segmentation) {
  return count_of(structures_of(segmentation));
}

mambaseg_structure mambaseg_segmentation_structure(const mambaseg_segmentation* segmentation, int32_t index) {
  if (!has(structures_of(segmentation), index)) return {};
  const StructureFinding& found = structures_of(segmentation)[static_cast<size_t>(index)];
  return {found.id,  found.name.c_str(), found.voxels,
          found.mm3, found.percent,      found.agreement.value_or(std::nan(""))};
}

int32_t mambaseg_segmentation_flag_count(const mambaseg_segmentation* segmentation) {
  return count_of(flags_of(segmentation));
}

const char* mambaseg_segmentation_flag(const mambaseg_segmentation* segmentation, int32_t index) {
  return has(flags_of(segmentation), index) ? flags_of(segmentation)[static_cast<size_t>(index)].c_str()
                                            : nullptr;
}

void mambaseg_segmentation_close(mambaseg_segmentation* segmentation) { delete segmentation; }

int32_t mambaseg_score(const mambaseg_image* reference, const mambaseg_image* prediction,
                       const mambaseg_scoring* scoring, mambaseg_scores** scores, mambaseg_error* error) {
  return guarded("mambaseg_score", error, [&] {
    mambaseg_scores*& result = place(scores, "scores");
    const mambaseg_scoring c = scoring ? *scoring : mambaseg_scoring{};
    if (!(c.tolerance_mm >= 0) || c.threads < 0)
      throw UsageError(concat("expected a tolerance and threads of 0 or more, got ", c.tolerance_mm,
                              " mm and ", c.threads));
    std::istringstream words(or_default(c.metrics, ""));
    std::vector<std::string> names;
    for (std::string word; words >> word;) names.push_back(word);
    ScoreOptions options;
    options.metrics = metrics_named(names);
    if (c.tolerance_mm > 0) options.tolerance_mm = c.tolerance_mm;
    options.threads = thread_count(c.threads);
    result = new mambaseg_scores{
        score_labels(labels_of(reference, "reference"), labels_of(prediction, "prediction"), options)};
  });
}

int32_t mambaseg_scores_label_count(const mambaseg_scores* scores) {
  return scores ? count_of(scores->scored.labels) : 0;
}

int32_t mambaseg_scores_label(const mambaseg_scores* scores, int32_t index) {
  return scores && has(scores->scored.labels, index) ? scores->scored.labels[static_cast<size_t>(index)].label
                                                     : 0;
}

int32_t mambaseg_scores_metric_count(const mambaseg_scores* scores) {
  return scores ? count_of(scores->scored.metrics) : 0;
}

const char* mambaseg_scores_metric(const mambaseg_scores* scores, int32_t index) {
  return scores && has(scores->scored.metrics, index)
             ? scores->scored.metrics[static_cast<size_t>(index)]->name.c_str()
             : nullptr;
}

double mambaseg_scores_value(const mambaseg_scores* scores, int32_t label_index, int32_t metric_index) {
  if (!scores || !has(scores->scored.labels, label_index) || !has(scores->scored.metrics, metric_index))
    return std::nan("");
  const LabelScores& label = scores->scored.labels[static_cast<size_t>(label_index)];
  return label.values[static_cast<size_t>(metric_index)].value_or(std::nan(""));
}

void mambaseg_scores_close(mambaseg_scores* scores) { delete scores; }

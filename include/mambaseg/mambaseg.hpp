#ifndef MAMBASEG_HPP
#define MAMBASEG_HPP

// libmambaseg for C++17 and later: values, exceptions and functions over mambaseg.h, which says what threads
// may do. Nothing but mambaseg.h crosses into the library, so it does not matter which compiler built that.

#include <array>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "mambaseg/mambaseg.h"

namespace mambaseg {
inline namespace v0 {  // in all linker symbols, so that no type is taken for one of inside the library

/// Why a call did not do its work, in one line.
class Error : public std::runtime_error {
 public:
  Error(int32_t code, const std::string& message) : std::runtime_error(message), code_(code) {}
  /// MAMBASEG_FAILED, MAMBASEG_MISUSED or MAMBASEG_CANCELLED.
  int32_t code() const { return code_; }

 private:
  int32_t code_;
};

/// A look at an image that belongs to somebody else (mambaseg_image). What is read with another Value than
/// `type` says makes no sense.
class ImageView {
 public:
  ImageView() = default;
  explicit ImageView(const mambaseg_image& c) : c_(c) {}

  /// A volume of so many voxels along i, j and k, i fastest, with so many mm between them.
  template <class Value>
  static ImageView volume(const Value* data, const std::array<int64_t, 3>& size,
                          const std::array<double, 3>& spacing_mm = {1, 1, 1}) {
    ImageView view;
    view.c_.data = data;
    view.c_.type = type_of(data);
    for (size_t a = 0; a < 3; ++a) view.c_.size[a] = size[a], view.c_.spacing[a] = spacing_mm[a];
    return view;
  }
  /// A picture, rows from the top, channels (1, 3, 4) side by side.
  static ImageView picture(const uint8_t* data, int64_t width, int64_t height, int32_t channels) {
    ImageView view;
    view.c_.data = data;
    view.c_.type = MAMBASEG_UINT8;
    view.c_.channels = channels;
    view.c_.size[0] = width, view.c_.size[1] = height, view.c_.size[2] = 1;
    return view;
  }
  /// With rows that bring (i, j, k) to mm (right, anterior, superior).
  ImageView with_affine(const std::array<std::array<double, 4>, 3>& rows) const {
    ImageView view = *this;
    for (size_t r = 0; r < 3; ++r)
      for (size_t c = 0; c < 4; ++c) view.c_.affine[r][c] = rows[r][c];
    return view;
  }
  /// With so many bytes from a value to the next along i, j and k.
  ImageView with_strides(const std::array<int64_t, 3>& bytes, int64_t channel_bytes = 0) const {
    ImageView view = *this;
    for (size_t a = 0; a < 3; ++a) view.c_.stride[a] = bytes[a];
    view.c_.channel_stride = channel_bytes;
    return view;
  }

  const mambaseg_image& c() const { return c_; }
  int64_t size(size_t axis) const { return c_.size[axis]; }
  int32_t channels() const { return c_.channels < 1 ? 1 : c_.channels; }
  /// All values, for views without gaps, as all that come from the library.
  int64_t count() const { return c_.size[0] * c_.size[1] * (c_.size[2] < 1 ? 1 : c_.size[2]) * channels(); }
  template <class Value>
  const Value* data() const {
    return static_cast<const Value*>(c_.data);
  }

 private:
  static int32_t type_of(const uint8_t*) { return MAMBASEG_UINT8; }
  static int32_t type_of(const int8_t*) { return MAMBASEG_INT8; }
  static int32_t type_of(const uint16_t*) { return MAMBASEG_UINT16; }
  static int32_t type_of(const int16_t*) { return MAMBASEG_INT16; }
  static int32_t type_of(const uint32_t*) { return MAMBASEG_UINT32; }
  static int32_t type_of(const int32_t*) { return MAMBASEG_INT32; }
  static int32_t type_of(const uint64_t*) { return MAMBASEG_UINT64; }
  static int32_t type_of(const int64_t*) { return MAMBASEG_INT64; }
  static int32_t type_of(const float*) { return MAMBASEG_FLOAT32; }
  static int32_t type_of(const double*) { return MAMBASEG_FLOAT64; }

  mambaseg_image c_{};
};

/// Who hears of the work of a call, on a thread of the library. What they throw ends the call and comes out
/// of it.
struct Listener {
  /// `done` of `total` parts of `what`; false cancels: Error with MAMBASEG_CANCELLED.
  std::function<bool(const std::string& what, int64_t done, int64_t total)> progress;
  std::function<void(const std::string& line)> warn;
};

namespace detail {

/// Calls function(..., mambaseg_error*) and throws what it answers.
template <class Function>
void checked(const Function& function) {
  mambaseg_error error{};
  if (const int32_t code = function(&error); code != MAMBASEG_DONE) throw Error(code, error.message);
}

template <class Thing>
using Owned = std::unique_ptr<Thing, void (*)(Thing*)>;

/// What open(Thing**, mambaseg_error*) makes.
template <class Thing, class Open>
Owned<Thing> opened(void (*close)(Thing*), const Open& open) {
  Thing* thing = nullptr;
  checked([&](mambaseg_error* error) { return open(&thing, error); });
  return {thing, close};
}

/// A Listener as C has it, which keeps what it throws.
class Ears {
 public:
  explicit Ears(const Listener& listener) : listener_(listener) {
    c_.user = this;
    if (listener.progress) c_.progress = &progress;
    if (listener.warn) c_.warn = &warn;
  }
  const mambaseg_listener* c() const { return &c_; }

  /// checked(), but what the listener threw comes first.
  template <class Function>
  void checked(const Function& function) {
    mambaseg_error error{};
    const int32_t code = function(&error);
    if (thrown_) std::rethrow_exception(thrown_);
    if (code != MAMBASEG_DONE) throw Error(code, error.message);
  }

 private:
  static int32_t progress(void* user, const char* what, int64_t done, int64_t total) {
    Ears& ears = *static_cast<Ears*>(user);
    if (ears.thrown_) return 1;
    try {
      return ears.listener_.progress(what, done, total) ? 0 : 1;
    } catch (...) {
      ears.thrown_ = std::current_exception();
      return 1;
    }
  }
  static void warn(void* user, const char* line) {
    Ears& ears = *static_cast<Ears*>(user);
    try {
      if (!ears.thrown_) ears.listener_.warn(line);
    } catch (...) {
      ears.thrown_ = std::current_exception();
    }
  }

  const Listener& listener_;
  mambaseg_listener c_{};
  std::exception_ptr thrown_;
};

inline const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

}  // namespace detail

/// An image that was read from a file; throws Error. The listener is warned of headers that are read with a
/// repair.
class ImageFile {
 public:
  explicit ImageFile(const std::string& path, const Listener& listener = {})
      : c_(nullptr, &mambaseg_file_close) {
    detail::Ears ears(listener);
    ears.checked([&](mambaseg_error* error) {
      mambaseg_file* file = nullptr;
      const int32_t code = mambaseg_file_open(path.c_str(), ears.c(), &file, error);
      c_.reset(file);
      return code;
    });
  }
  /// Valid while this lives.
  ImageView view() const { return ImageView(mambaseg_file_image(c_.get())); }

 private:
  detail::Owned<mambaseg_file> c_;
};

/// Writes labels, or any image, in the format that the name says; throws Error.
inline void write(const ImageView& image, const std::string& path) {
  detail::checked([&](mambaseg_error* error) { return mambaseg_write(&image.c(), path.c_str(), error); });
}

/// mambaseg_settings.
struct Settings {
  std::string device = "cpu", precision = "auto";
  int32_t threads = 0;  ///< 0: as many as the machine has
  double memory_gib = 0;
  std::string models;  ///< a folder that is searched first
};

/// mambaseg_structure.
struct Structure {
  int64_t label = 0;
  std::string name;
  int64_t voxels = 0;
  double mm3 = 0, percent = 0, agreement = 0;
};

/// Labels of an image, and what was found.
class Segmentation {
 public:
  explicit Segmentation(detail::Owned<mambaseg_segmentation> c) : c_(std::move(c)) {}

  /// int32_t on the grid of a volume, the mask (uint8_t) of a picture; valid while this lives.
  ImageView labels() const { return ImageView(mambaseg_segmentation_labels(c_.get())); }
  std::vector<Structure> structures() const {
    std::vector<Structure> all;
    for (int32_t i = 0; i < mambaseg_segmentation_structure_count(c_.get()); ++i) {
      const mambaseg_structure one = mambaseg_segmentation_structure(c_.get(), i);
      all.push_back({one.label, one.name, one.voxels, one.mm3, one.percent, one.agreement});
    }
    return all;
  }
  /// Why somebody should look at these labels; empty: nothing is conspicuous.
  std::vector<std::string> flags() const {
    std::vector<std::string> all;
    for (int32_t i = 0; i < mambaseg_segmentation_flag_count(c_.get()); ++i)
      all.emplace_back(mambaseg_segmentation_flag(c_.get(), i));
    return all;
  }

 private:
  detail::Owned<mambaseg_segmentation> c_;
};

/// An image between the steps of a Segmenter.
class Case {
 public:
  explicit Case(detail::Owned<mambaseg_case> c) : c_(std::move(c)) {}
  mambaseg_case* c() const { return c_.get(); }

 private:
  detail::Owned<mambaseg_case> c_;
};

/// A model in memory (mambaseg_segmenter); all throw Error.
class Segmenter {
 public:
  /// `model`: a name (`mambaseg models` lists them), the folder or model.toml of one, or a file of weights.
  explicit Segmenter(const std::string& model, const Settings& settings = {})
      : c_(detail::opened<mambaseg_segmenter>(
            &mambaseg_segmenter_close, [&](mambaseg_segmenter** segmenter, mambaseg_error* error) {
              mambaseg_settings c{};
              c.device = detail::or_null(settings.device);
              c.precision = detail::or_null(settings.precision);
              c.threads = settings.threads;
              c.memory_gib = settings.memory_gib;
              c.models = detail::or_null(settings.models);
              return mambaseg_segmenter_open(model.c_str(), &c, segmenter, error);
            })) {}

  /// Labels of an image, with a second look at the mirrored one, which flags doubtful labels, where that is
  /// wanted.
  Segmentation operator()(const ImageView& image, bool second_look = true, const Listener& listener = {}) {
    Case one = prepare(image, second_look, listener);
    infer(one, listener);
    return finish(one);
  }

  /// The same in steps, which may run on several threads: the next image is prepared while the network runs.
  Case prepare(const ImageView& image, bool second_look = true, const Listener& listener = {}) const {
    detail::Ears ears(listener);
    detail::Owned<mambaseg_case> made(nullptr, &mambaseg_case_close);
    ears.checked([&](mambaseg_error* error) {
      mambaseg_case* one = nullptr;
      const int32_t code = mambaseg_prepare(c_.get(), &image.c(), second_look, ears.c(), &one, error);
      made.reset(one);
      return code;
    });
    return Case(std::move(made));
  }
  void infer(Case& one, const Listener& listener = {}) {
    detail::Ears ears(listener);
    ears.checked([&](mambaseg_error* error) { return mambaseg_infer(c_.get(), one.c(), ears.c(), error); });
  }
  Segmentation finish(Case& one) const {
    return Segmentation(detail::opened<mambaseg_segmentation>(
        &mambaseg_segmentation_close, [&](mambaseg_segmentation** segmentation, mambaseg_error* error) {
          return mambaseg_finish(c_.get(), one.c(), segmentation, error);
        }));
  }

  bool reads_pictures() const { return mambaseg_segmenter_reads_pictures(c_.get()) != 0; }
  /// The card, or the file of weights, that the model comes from.
  std::string source() const { return mambaseg_segmenter_source(c_.get()); }

 private:
  detail::Owned<mambaseg_segmenter> c_;
};

/// mambaseg_scoring.
struct Scoring {
  std::string metrics;  ///< "Dice HD95"; empty: the usual ones
  double tolerance_mm = 1;
  int32_t threads = 0;
};

/// Scores of every label that one of two volumes of whole numbers on one grid has.
class Scores {
 public:
  Scores(const ImageView& reference, const ImageView& prediction, const Scoring& scoring = {})
      : c_(detail::opened<mambaseg_scores>(
            &mambaseg_scores_close, [&](mambaseg_scores** scores, mambaseg_error* error) {
              mambaseg_scoring c{};
              c.metrics = detail::or_null(scoring.metrics);
              c.tolerance_mm = scoring.tolerance_mm;
              c.threads = scoring.threads;
              return mambaseg_score(&reference.c(), &prediction.c(), &c, scores, error);
            })) {}

  std::vector<int32_t> labels() const {
    std::vector<int32_t> all;
    for (int32_t i = 0; i < mambaseg_scores_label_count(c_.get()); ++i)
      all.push_back(mambaseg_scores_label(c_.get(), i));
    return all;
  }
  std::vector<std::string> metrics() const {
    std::vector<std::string> all;
    for (int32_t i = 0; i < mambaseg_scores_metric_count(c_.get()); ++i)
      all.emplace_back(mambaseg_scores_metric(c_.get(), i));
    return all;
  }
  /// Of the label and metric at these places; NaN where it is not defined.
  double value(size_t label, size_t metric) const {
    return mambaseg_scores_value(c_.get(), static_cast<int32_t>(label), static_cast<int32_t>(metric));
  }

 private:
  detail::Owned<mambaseg_scores> c_;
};

/// The version of the library that runs.
inline std::string version() { return mambaseg_version(); }

}  // namespace v0
}  // namespace mambaseg

#endif

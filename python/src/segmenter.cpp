// The segmenter, on the library's public headers as programs outside use it: none of ours beside them, whose
// types have the same names.

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <atomic>
#include <chrono>
#include <future>
#include <map>

#include "mambaseg/mambaseg.hpp"
#include "python/src/parts.h"

namespace mambaseg::python {
namespace {

namespace py = pybind11;
using Affine = std::array<std::array<double, 4>, 3>;
using Spacing = std::array<double, 3>;

void translate(std::exception_ptr exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    set_error(error.what(), error.code() == MAMBASEG_MISUSED);
  }
}

int32_t type_of(const py::dtype& type) {
  static const std::map<std::string, int32_t> types{
      {"u1", MAMBASEG_UINT8},   {"i1", MAMBASEG_INT8},   {"u2", MAMBASEG_UINT16}, {"i2", MAMBASEG_INT16},
      {"u4", MAMBASEG_UINT32},  {"i4", MAMBASEG_INT32},  {"u8", MAMBASEG_UINT64}, {"i8", MAMBASEG_INT64},
      {"f4", MAMBASEG_FLOAT32}, {"f8", MAMBASEG_FLOAT64}};
  const auto found = types.find(type.kind() + std::to_string(type.itemsize()));
  if (found == types.end())
    throw Error(MAMBASEG_MISUSED,
                "Segmenter: image: expected whole numbers of at most 64 bits, float32 or "
                "float64, got " +
                    type.attr("name").cast<std::string>());
  return found->second;
}

/// The values where they lie: along i, j and k of a volume; rows, columns and channels of a picture.
mambaseg_image view_of(const py::array& values, bool picture, const std::optional<Spacing>& spacing) {
  const auto axes = values.ndim();
  if (picture ? axes != 2 && axes != 3 : axes != 3)
    throw Error(MAMBASEG_MISUSED,
                std::string("Segmenter: image: expected ") +
                    (picture ? "a picture (rows, columns[, channels])" : "a volume (i, j, k)") +
                    ", got an array of " + std::to_string(axes) + " axes");
  mambaseg_image c{};
  c.data = values.data();
  c.type = type_of(values.dtype());
  for (int axis = 0; axis < (picture ? 2 : 3); ++axis) {
    const int from = picture ? 1 - axis : axis;  // columns lie along i
    c.size[axis] = values.shape(from);
    c.stride[axis] = values.strides(from);
  }
  if (picture && axes == 3) {
    c.channels = static_cast<int32_t>(values.shape(2));
    c.channel_stride = values.strides(2);
  }
  if (spacing) std::copy(spacing->begin(), spacing->end(), c.spacing);
  return c;
}

/// Says what the library warns of, on whichever thread that is.
Listener listener_of(const py::function& warn) {
  Listener listener;
  listener.warn = [&warn](const std::string& line) {
    const py::gil_scoped_acquire lock;
    warn(line);
  };
  return listener;
}

/// On a thread of its own, so that this one can run Python's handlers of signals: what they raise
/// (KeyboardInterrupt) ends the work at its next progress.
void infer(Segmenter& segmenter, Case& one, const py::object& progress, const py::function& warn) {
  std::atomic<bool> interrupted = false;
  Listener listener = listener_of(warn);
  listener.progress = [&](const std::string& what, int64_t done, int64_t total) {
    if (!progress.is_none() && !interrupted) {
      const py::gil_scoped_acquire lock;
      progress(what, done, total);
    }
    return !interrupted;
  };
  const py::gil_scoped_release others_may_run;
  std::future<void> done = std::async(std::launch::async, [&] { segmenter.infer(one, listener); });
  std::exception_ptr raised;
  while (!raised && done.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
    const py::gil_scoped_acquire lock;
    if (PyErr_CheckSignals() == 0) continue;
    raised = std::make_exception_ptr(py::error_already_set());
    interrupted = true;
  }
  done.wait();
  if (raised) std::rethrow_exception(raised);
  done.get();
}

bool is_picture(const ImageView& labels) { return labels.c().type == MAMBASEG_UINT8; }

/// Not a copy: it keeps the Segmentation, which others see too, so nobody writes to it.
py::array labels_of(const py::object& self) {
  const ImageView view = self.cast<const Segmentation&>().labels();
  const auto [n0, n1, n2] = view.c().size;
  const py::ssize_t channels = view.channels();
  py::array labels;
  if (!is_picture(view))
    labels = py::array(py::dtype::of<int32_t>(), {n0, n1, n2}, {int64_t{4}, 4 * n0, 4 * n0 * n1},
                       view.c().data, self);
  else if (channels == 1)
    labels = py::array(py::dtype::of<uint8_t>(), {n1, n0}, {n0, int64_t{1}}, view.c().data, self);
  else
    labels = py::array(py::dtype::of<uint8_t>(), {n1, n0, channels},
                       {n0 * channels, channels, py::ssize_t{1}}, view.c().data, self);
  labels.attr("setflags")(py::arg("write") = false);
  return labels;
}

std::optional<Affine> affine_of(const Segmentation& found) {
  const ImageView view = found.labels();
  if (is_picture(view)) return std::nullopt;
  Affine rows{};
  for (size_t r = 0; r < 3; ++r) std::copy(view.c().affine[r], view.c().affine[r] + 4, rows[r].begin());
  return rows;
}

}  // namespace

void add_segmenter(py::module_& module) {
  py::register_local_exception_translator(translate);
  py::class_<Case>(module, "Case", "An image between the steps of a Segmenter.");
  py::class_<Segmentation>(module, "Segmentation")
      .def_property_readonly("labels", &labels_of)
      .def_property_readonly("affine", &affine_of)
      .def_property_readonly("flags", &Segmentation::flags)
      .def_property_readonly(
          "structures",
          [](const Segmentation& found) {
            std::vector<std::tuple<int64_t, std::string, int64_t, double, double, double>> all;
            for (const Structure& one : found.structures())
              all.emplace_back(one.label, one.name, one.voxels, one.mm3, one.percent, one.agreement);
            return all;
          })
      .def("save", [](const Segmentation& found, const std::string& path) {
        const py::gil_scoped_release others_may_run;
        write(found.labels(), path);
      });
  py::class_<Segmenter>(module, "Segmenter")
      .def(py::init([](const std::string& model, const std::string& device, const std::string& precision,
                       int32_t threads, double memory_gib, const std::string& models) {
        const py::gil_scoped_release others_may_run;
        return std::make_unique<Segmenter>(model, Settings{device, precision, threads, memory_gib, models});
      }))
      .def_property_readonly("reads_pictures", &Segmenter::reads_pictures)
      .def_property_readonly("source", &Segmenter::source)
      .def(
          "prepare_array",
          [](const Segmenter& segmenter, const py::array& values, const std::optional<Affine>& affine,
             const std::optional<Spacing>& spacing, bool second_look, const py::function& warn) {
            ImageView view(view_of(values, segmenter.reads_pictures(), spacing));
            if (affine) view = view.with_affine(*affine);
            const Listener listener = listener_of(warn);
            const py::gil_scoped_release others_may_run;
            return segmenter.prepare(view, second_look, listener);
          },
          py::keep_alive<0, 1>())
      .def(
          "prepare_file",
          [](const Segmenter& segmenter, const std::string& path, bool second_look,
             const py::function& warn) {
            const Listener listener = listener_of(warn);
            const py::gil_scoped_release others_may_run;
            const ImageFile file(path, listener);
            return segmenter.prepare(file.view(), second_look, listener);
          },
          py::keep_alive<0, 1>())
      .def("infer", &infer)
      .def("finish", [](const Segmenter& segmenter, Case& one) {
        const py::gil_scoped_release others_may_run;
        return segmenter.finish(one);
      });
}

}  // namespace mambaseg::python

#include "mambaseg/tasks/pictures/picture_overlay.h"

#include "mambaseg/report/contour.h"
#include "mambaseg/report/palette.h"
#include "mambaseg/tasks/pictures/picture_predictor.h"

namespace mambaseg {
namespace {

constexpr Colour kContour{0, 255, 0};  // of one structure: seen on skin and on mucosa

}  // namespace

Picture overlay_of(const Picture& picture, const torch::Tensor& classes_YX, const PictureLabels& labels) {
  std::vector<int32_t> numbers;
  for (int64_t k = 1; k <= labels.scheme().class_count(); ++k) numbers.push_back(static_cast<int32_t>(k));
  const Palette palette(numbers);
  Picture drawn = picture;
  for (const int32_t k : numbers)
    drawn = draw_contour(drawn, grey_picture(classes_YX.eq(k).to(torch::kFloat32)),
                         numbers.size() == 1 ? kContour : palette.colour(k));
  return drawn;
}

}  // namespace mambaseg

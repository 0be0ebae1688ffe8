#include <mambaseg/mambaseg.h>
#include <stdio.h>

int main(int count, char** words) {
  mambaseg_error error = {0, ""};
  mambaseg_file* file = NULL;
  mambaseg_segmenter* segmenter = NULL;
  mambaseg_segmentation* found = NULL;
  int32_t code = mambaseg_file_open(count > 1 ? words[1] : NULL, NULL, &file, &error);
  const mambaseg_image image = mambaseg_file_image(file);
  if (!code) code = mambaseg_segmenter_open("skin-lesion", NULL, &segmenter, &error);
  if (!code) code = mambaseg_segment(segmenter, &image, 1, NULL, &found, &error);
  const mambaseg_image labels = mambaseg_segmentation_labels(found);
  if (!code) code = mambaseg_write(&labels, count > 2 ? words[2] : NULL, &error);
  if (code) fprintf(stderr, "%s\n", error.message);
  mambaseg_segmentation_close(found);
  mambaseg_segmenter_close(segmenter);
  mambaseg_file_close(file);
  return code;
}

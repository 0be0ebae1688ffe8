#include <cstdio>

#include <mambaseg/mambaseg.hpp>

int main(int, char** words) {
  mambaseg::Segmenter segmenter("skin-lesion");
  const mambaseg::ImageFile image(words[1]);
  const mambaseg::Segmentation found = segmenter(image.view());
  for (const mambaseg::Structure& one : found.structures())
    std::printf("%s %.2f %%\n", one.name.c_str(), one.percent);
  mambaseg::write(found.labels(), words[2]);
  std::printf("%s\n", segmenter.source().c_str());
}

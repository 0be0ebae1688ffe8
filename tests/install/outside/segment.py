import sys

import mambaseg

segmenter = mambaseg.Segmenter("skin-lesion")
segmenter(sys.argv[1]).save(sys.argv[2])
print(segmenter.source)

"""Images to labels: layouts of arrays, files, listeners and threads on small networks of random weights, and the models
that come along on real images."""

import gc
import json
import os
import signal
import struct
import tempfile
import threading
import time
import unittest
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

import mambaseg
from mambaseg import Segmenter

try:
    import nibabel
except ImportError:
    nibabel = None

PICTURES = Path(__file__).resolve().parent.parent / "cli/isic2017/images"
HEAD = Path(os.environ.get("MAMBASEG_TEMPLATES", "/usr/share/mricron/templates")) / "ch2.nii.gz"
AFFINE = np.array([[0, -1.5, 0, 7], [-1, 0, 0, 8], [0, 0, 2, -9], [0, 0, 0, 1.0]])


def write_model(path, network, plan, **settings):
    """A model file of a small network with random weights."""
    torch.manual_seed(7)
    settings = {**mambaseg.network_facts(network)["small"], **settings}
    net = mambaseg.network(network, **settings).eval()
    if settings["classes"] == 1:  # moves the scores of noise around 0: else one answer stands everywhere
        with torch.no_grad():
            middle = net(torch.rand(1, 3, 32, 32)).median()
            for name, parameter in net.named_parameters():
                if name.endswith("bias") and parameter.numel() == 1:
                    parameter -= middle
    header, values, at = {}, [], 0
    for name, tensor in net.state_dict().items():
        stored = tensor.numpy().tobytes()
        header[name] = {"dtype": {torch.float32: "F32", torch.int64: "I64"}[tensor.dtype],
                        "shape": list(tensor.shape), "data_offsets": [at, at + len(stored)]}
        values.append(stored)
        at += len(stored)
    facts = {"network": {"name": network, **settings}, "plan": plan, "recipe": {}, "history": {}}
    header["__metadata__"] = {"mambaseg": "1", **{key: json.dumps(value) for key, value in facts.items()}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(values))


def waves(seed=0.4):
    """(26, 20, 18) as nibabel has it, i fastest."""
    i, j, k = np.meshgrid(np.arange(26), np.arange(20), np.arange(18), indexing="ij")
    image = 60 + 50 * np.sin(seed * i) * np.cos(0.3 * j + seed) * np.sin(0.2 * k)
    return np.asfortranarray(image.astype(np.float32))


def stripes(seed=5):
    rows, columns, channels = np.meshgrid(np.arange(24), np.arange(40), np.arange(3), indexing="ij")
    return (columns * seed + rows * 7 + channels * 20).astype(np.uint8)


class Small(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.volumes, cls.pictures = cls.folder / "balls.safetensors", cls.folder / "spots.safetensors"
        write_model(cls.volumes, "medsegmamba",
                    {"conform": "none", "orientation": "RAS", "patch": [16, 16, 16],
                     "classes": [{"name": "Left-Ball", "ids": [10]}, {"name": "Right-Ball", "ids": [49]}]}, classes=3)
        write_model(cls.pictures, "unet", {"task": "pictures", "size": [32, 32], "structure": "spot"}, classes=1)

    def volume_segmenter(self):
        return Segmenter(self.volumes, precision="fp32", threads=1)

    def picture_segmenter(self):
        return Segmenter(self.pictures, precision="fp32", threads=1)


class Labels(Small):
    def test_they_lie_on_the_grid_of_the_image(self):
        segmenter = self.volume_segmenter()
        self.assertFalse(segmenter.reads_pictures)
        self.assertEqual(segmenter.source, str(self.volumes))
        found = segmenter(waves(), affine=AFFINE)
        self.assertEqual((found.labels.shape, found.labels.dtype), ((26, 20, 18), np.int32))
        np.testing.assert_array_equal(found.affine, AFFINE)
        self.assertGreaterEqual(len(np.unique(found.labels)), 2, "one label everywhere compares nothing")
        self.assertEqual([one.name for one in found.structures], ["Left-Ball", "Right-Ball"])
        for one in found.structures:
            self.assertEqual(one.voxels, np.count_nonzero(found.labels == one.label))
            self.assertAlmostEqual(one.mm3, 3 * one.voxels)
            self.assertIsNone(one.percent)
            self.assertTrue(0 <= one.agreement <= 1)
        quick = segmenter(waves(), second_look=False, affine=AFFINE)
        np.testing.assert_array_equal(quick.labels, found.labels)
        self.assertEqual({one.agreement for one in quick.structures}, {None})

    def test_they_are_not_copied_and_outlive_what_made_them(self):
        found = self.volume_segmenter()(waves(), affine=AFFINE)
        labels, copy = found.labels, found.labels.copy()
        self.assertFalse(labels.flags.owndata or labels.flags.writeable)
        del found
        gc.collect()
        np.testing.assert_array_equal(labels, copy)

    def test_how_values_lie_does_not_matter(self):
        segmenter, image = self.volume_segmenter(), waves()
        expected = segmenter(image, spacing=(1, 1.5, 2)).labels
        gaps = np.full((26, 20, 19), -1e6, np.float32)
        gaps[:, :, :18] = image[::-1]
        for same in (np.ascontiguousarray(image), gaps[::-1, :, :18], image.astype(">f4"), image[..., None],
                     np.swapaxes(np.swapaxes(image, 0, 2).copy(), 0, 2)):
            np.testing.assert_array_equal(segmenter(same, spacing=(1, 1.5, 2)).labels, expected)
        half = image.astype(np.float16)
        np.testing.assert_array_equal(segmenter(half, spacing=(1, 1, 1)).labels,
                                      segmenter(half.astype(np.float32), spacing=(1, 1, 1)).labels)
        inside = image > 60
        np.testing.assert_array_equal(segmenter(inside, spacing=(1, 1, 1)).labels,
                                      segmenter(inside.astype(np.uint8), spacing=(1, 1, 1)).labels)
        layer = np.broadcast_to(image[:, :, 9:10], (26, 20, 18))
        np.testing.assert_array_equal(segmenter(layer, spacing=(1, 1, 1)).labels,
                                      segmenter(layer.copy(), spacing=(1, 1, 1)).labels)

    def test_pictures(self):
        segmenter, picture = self.picture_segmenter(), stripes()
        self.assertTrue(segmenter.reads_pictures)
        found = segmenter(picture)
        self.assertEqual((found.labels.shape, found.labels.dtype), ((24, 40), np.uint8))
        self.assertEqual(len(np.unique(found.labels)), 2, "a mask that is one value compares nothing")
        self.assertIsNone(found.affine)
        (spot,) = found.structures
        self.assertEqual(spot.voxels, np.count_nonzero(found.labels))
        self.assertAlmostEqual(spot.percent, 100 * spot.voxels / (24 * 40))
        self.assertIsNone(spot.mm3)
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1)).transpose(1, 2, 0)
        np.testing.assert_array_equal(segmenter(planes).labels, found.labels)
        np.testing.assert_array_equal(segmenter(picture[::-1].copy()[::-1]).labels, found.labels)
        with self.assertRaisesRegex(mambaseg.Error, "^Segmentation.image: "):
            found.image()

    def test_files(self):
        image, picture = waves(), stripes()
        volume = self.folder / "waves.mha"  # whose mm go to the left and back
        volume.write_bytes(b"ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 26 20 18\n"
                           b"TransformMatrix = -1 0 0 0 -1 0 0 0 1\nOffset = -4 -5 6\nElementSpacing = 1 1.5 2\n"
                           b"ElementType = MET_FLOAT\nElementDataFile = LOCAL\n" + image.tobytes("F"))
        affine = np.diag([1, 1.5, 2, 1])
        affine[:3, 3] = 4, 5, 6
        segmenter = self.volume_segmenter()
        found = segmenter(volume)
        np.testing.assert_allclose(found.affine, affine)
        np.testing.assert_array_equal(found.labels, segmenter(image, affine=affine).labels)

        file = self.folder / "stripes.bmp"  # rows from below, blue first
        values = picture[::-1, :, ::-1].tobytes()
        file.write_bytes(struct.pack("<2sIHHI", b"BM", 54 + len(values), 0, 0, 54)
                         + struct.pack("<IiiHHIIiiII", 40, 40, 24, 1, 24, 0, len(values), 0, 0, 0, 0) + values)
        segmenter = self.picture_segmenter()
        np.testing.assert_array_equal(segmenter(str(file)).labels, segmenter(picture).labels)

    @unittest.skipIf(nibabel is None, "nibabel is not installed")
    def test_nibabel(self):
        segmenter = self.volume_segmenter()
        image = nibabel.Nifti1Image(waves(), AFFINE)
        found = segmenter(image)
        np.testing.assert_array_equal(found.labels, segmenter(waves(), affine=AFFINE).labels)
        self.assertTrue(np.shares_memory(found.image().dataobj, found.labels))
        nibabel.save(image, self.folder / "in.nii.gz")
        np.testing.assert_array_equal(segmenter(nibabel.load(self.folder / "in.nii.gz")).labels, found.labels)
        np.testing.assert_array_equal(segmenter(self.folder / "in.nii.gz").labels, found.labels)
        found.save(self.folder / "ours.nii.gz")
        nibabel.save(found.image(), self.folder / "theirs.nii.gz")
        for name in ("ours.nii.gz", "theirs.nii.gz"):
            read = nibabel.load(self.folder / name)
            np.testing.assert_array_equal(np.asarray(read.dataobj), found.labels)
            np.testing.assert_allclose(read.affine, AFFINE, atol=1e-6)


class Listeners(Small):
    def test_they_hear_of_the_work_on_threads_of_the_library(self):
        heard = []
        self.volume_segmenter()(waves(), spacing=(1, 1, 1),
                                progress=lambda *said: heard.append((threading.get_ident(), *said)))
        self.assertNotIn(threading.get_ident(), {thread for thread, *_ in heard})
        self.assertGreaterEqual(len(heard), 5)  # patches of two looks
        self.assertTrue(all(isinstance(what, str) and 0 <= done <= total for _, what, done, total in heard))

    def test_what_they_raise_comes_out_and_the_next_image_is_taken(self):
        segmenter, image = self.volume_segmenter(), waves()
        expected = segmenter(image, spacing=(1, 1, 1)).labels
        calls = []

        def stop(what, done, total):
            calls.append(done)
            if len(calls) == 3:
                raise LookupError("mine")

        with self.assertRaisesRegex(LookupError, "^mine$"):
            segmenter(image, spacing=(1, 1, 1), progress=stop)
        self.assertEqual(len(calls), 3)
        np.testing.assert_array_equal(segmenter(image, spacing=(1, 1, 1)).labels, expected)

    def test_warnings(self):
        file = self.folder / "cubits.mha"
        file.write_bytes(b"ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 26 20 18\nDistanceUnits = cubit\n"
                         b"ElementSpacing = 1 1 1\nElementType = MET_FLOAT\nElementDataFile = LOCAL\n"
                         + waves().tobytes("F"))
        segmenter, lines = self.volume_segmenter(), []
        segmenter(file, warn=lines.append)
        self.assertTrue(any("cubit is not known" in line for line in lines), lines)
        with self.assertWarnsRegex(UserWarning, "cubit is not known"):
            segmenter(file)
        with warnings.catch_warnings(), self.assertRaisesRegex(UserWarning, "cubit is not known"):
            warnings.simplefilter("error")
            segmenter(file)

    def test_control_c_ends_the_call(self):
        segmenter, picture = self.picture_segmenter(), stripes()
        expected = segmenter(picture).labels
        calls = []

        def pressed(what, done, total):
            calls.append(done)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # the network may be done before anybody looks

        with self.assertRaises(KeyboardInterrupt):
            segmenter(picture, progress=pressed)
        self.assertEqual(len(calls), 1)
        np.testing.assert_array_equal(segmenter(picture).labels, expected)


class Steps(Small):
    def test_images_of_several_threads(self):
        segmenter = self.picture_segmenter()
        alone = [segmenter(stripes(seed)).labels for seed in range(3, 7)]
        self.assertFalse(np.array_equal(alone[0], alone[1]), "masks that are all the same compare nothing")

        def in_steps(seed):
            case = segmenter.prepare(stripes(seed))
            segmenter.infer(case)
            return segmenter.finish(case).labels

        with ThreadPoolExecutor(4) as pool:
            for beside, expected in zip(pool.map(in_steps, range(3, 7)), alone):
                np.testing.assert_array_equal(beside, expected)

    def test_each_happens_once(self):
        segmenter, other = self.picture_segmenter(), self.picture_segmenter()
        case = segmenter.prepare(stripes())
        with self.assertRaisesRegex(mambaseg.UsageError, "expected an image that the network has seen"):
            segmenter.finish(case)
        with self.assertRaisesRegex(mambaseg.UsageError, "prepared by another segmenter"):
            other.infer(case)
        segmenter.infer(case)
        segmenter.finish(case)
        with self.assertRaisesRegex(mambaseg.UsageError, "once$"):
            segmenter.finish(case)

    def test_a_case_keeps_its_segmenter(self):
        case = self.picture_segmenter().prepare(stripes())
        gc.collect()
        with self.assertRaisesRegex(mambaseg.UsageError, "prepared by another segmenter"):
            self.picture_segmenter().infer(case)


class Refused(Small):
    def refused(self, kind, line, *args, **keywords):
        with self.assertRaisesRegex(kind, f"^{line}[^\n]*$") as caught:
            keywords.pop("by", self.volume_segmenter())(*args, **keywords)
        self.assertIs(type(caught.exception), kind)

    def test_models_and_settings_that_are_not_there(self):
        for line, keywords in (("mambaseg_segmenter_open: there is no model skin-lesio, did you mean skin-lesion",
                                {"model": "skin-lesio"}),
                               ("mambaseg_segmenter_open: .*expected cpu, cuda", {"device": "gpu"}),
                               ("mambaseg_segmenter_open: .*fp12", {"precision": "fp12"}),
                               ("mambaseg_segmenter_open: .*got -1", {"threads": -1})):
            self.refused(mambaseg.UsageError, line, by=Segmenter, **{"model": self.volumes, **keywords})
        broken = self.folder / "broken.safetensors"
        broken.write_bytes(b"no weights")
        self.refused(mambaseg.Error, f"mambaseg_segmenter_open: {broken}", broken, by=Segmenter)

    def test_images_that_make_no_sense(self):
        image = waves()
        for line, image, keywords in (
                ("Segmenter: expected affine= or spacing= with an array, got neither", image, {}),
                ("Segmenter: expected affine= or spacing= with an array, got both", image,
                 {"affine": AFFINE, "spacing": (1, 1, 1)}),
                ("Segmenter: expected affine and spacing with arrays only", "x.nii", {"affine": AFFINE}),
                (r"Segmenter: affine: expected 4 x 4 numbers, got an array of shape \(3, 3\)", image,
                 {"affine": AFFINE[:3, :3]}),
                (r"Segmenter: image: expected a volume \(i, j, k\), got an array of 2 axes", image[0],
                 {"spacing": (1, 1, 1)}),
                ("Segmenter: image: expected .*, got complex64", image.astype(np.complex64), {"spacing": (1, 1, 1)}),
                ("mambaseg_prepare: image: spacing: expected mm above 0", image, {"spacing": (1, 1, -1)}),
                ("mambaseg_prepare: image: affine: expected a matrix that has an inverse", image,
                 {"affine": np.diag([1.0, 1, 0, 1])}),
                ("mambaseg_prepare: image: size: expected 1 or more", image[:0], {"spacing": (1, 1, 1)})):
            self.refused(mambaseg.UsageError, line, image, **keywords)
        pictures = self.picture_segmenter()
        self.refused(mambaseg.UsageError, "mambaseg_prepare: image: type: expected MAMBASEG_UINT8",
                     stripes().astype(np.float32), by=pictures)
        self.refused(mambaseg.UsageError, "mambaseg_prepare: image: channels: expected 1, 3 or 4, got 2",
                     stripes()[..., :2], by=pictures)

    def test_images_that_a_model_refuses(self):
        self.refused(mambaseg.Error, "mambaseg_prepare: .*all zero", np.zeros((26, 20, 18)), spacing=(1, 1, 1))
        self.refused(mambaseg.Error, "mambaseg_file_open: .*nowhere.nii", self.folder / "nowhere.nii")


class ModelsThatComeAlong(unittest.TestCase):
    def test_a_photograph_of_skin(self):
        found = Segmenter("skin-lesion")(PICTURES / "ISIC_0014600.jpg")
        self.assertEqual(found.flags, [])
        (lesion,) = found.structures
        self.assertEqual(lesion.voxels, np.count_nonzero(found.labels))
        self.assertGreater(lesion.agreement, 0.9)
        self.assertTrue(1 < lesion.percent < 90)

    @unittest.skipUnless(HEAD.exists(), "Debian's mricron-data is not there")
    def test_a_head(self):
        found = Segmenter("t1-subcortical")(HEAD, second_look=False)
        self.assertEqual(found.labels.shape, (181, 217, 181))
        names = {one.name: one for one in found.structures}
        for side, name in ((-1, "Left-Hippocampus"), (1, "Right-Hippocampus")):
            self.assertTrue(2000 < names[name].mm3 < 6000, names[name])
            where = np.argwhere(found.labels == names[name].label).mean(axis=0)
            self.assertGreater(side * (found.affine[:3, :3] @ where + found.affine[:3, 3])[0], 10)


if __name__ == "__main__":
    unittest.main()

"""Scores of label arrays."""

import unittest

import numpy as np

import mambaseg
from mambaseg.metrics import metrics, scores


def boxes():
    reference, prediction = np.zeros((12, 10, 8), np.int32), np.zeros((12, 10, 8), np.int32)
    reference[2:8, 2:8, 2:6] = 1
    prediction[3:8, 2:8, 2:6] = 1
    reference[9:11, 2:4, 2:4] = 2
    return reference, prediction


class Metrics(unittest.TestCase):
    def test_dice_and_distances(self):
        reference, prediction = boxes()
        found = scores(reference, prediction, spacing_mm=(2, 1, 1), names=["Dice", "HD", "volume_reference"])
        self.assertEqual(set(found), {1, 2})
        self.assertAlmostEqual(found[1]["Dice"], 2 * 120 / (144 + 120))
        self.assertAlmostEqual(found[1]["HD"], 2)
        self.assertAlmostEqual(found[1]["volume_reference"], 144 * 2)
        self.assertEqual(found[2]["Dice"], 0)  # missed

    def test_memory_order_and_type_do_not_matter(self):
        reference, prediction = boxes()
        expected = scores(reference, prediction)
        self.assertEqual(scores(np.asfortranarray(reference), prediction.astype(np.uint8)), expected)
        self.assertEqual(scores(reference.astype(float), prediction[::-1][::-1]), expected)

    def test_pictures(self):
        reference, prediction = (image[:, :, 3] for image in boxes())
        self.assertAlmostEqual(scores(reference, prediction, [1], names=["Dice"])[1]["Dice"], 2 * 30 / 66)
        self.assertIsNone(scores(reference, prediction, [5], names=["Dice"])[5]["Dice"])

    def test_names(self):
        names = [metric.name for metric in metrics()]
        self.assertIn("HD95", names)
        self.assertEqual(set(scores(*boxes())[1]) - set(names), set())

    def test_errors_say_one_line(self):
        reference, prediction = boxes()
        with self.assertRaisesRegex(mambaseg.UsageError, 'unknown metric "Dise", did you mean "Dice"'):
            scores(reference, prediction, names=["Dise"])
        with self.assertRaisesRegex(mambaseg.Error, "^[^\n]+$"):
            scores(reference, prediction[1:])
        with self.assertRaisesRegex(mambaseg.Error, "^scores: expected whole numbers as labels"):
            scores(reference + 0.5, prediction)

    def test_nibabel(self):
        try:
            import nibabel
        except ImportError:
            self.skipTest("nibabel is not installed")
        reference, prediction = boxes()
        affine = np.diag([2.0, 1.0, 1.0, 1.0])
        one, other = nibabel.Nifti1Image(reference, affine), nibabel.Nifti1Image(prediction, affine)
        self.assertEqual(scores(one, other), scores(reference, prediction, spacing_mm=(2, 1, 1)))
        moved = affine.copy()
        moved[0, 3] = 5
        with self.assertRaisesRegex(mambaseg.Error, "^scores: expected images of one grid"):
            scores(one, nibabel.Nifti1Image(prediction, moved))


if __name__ == "__main__":
    unittest.main()

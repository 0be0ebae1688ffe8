"""Networks of the zoo as torch modules."""

import copy
import io
import unittest

import torch

import mambaseg

SMALL = {"in_channels": 1, "classes": 2}


class Networks(unittest.TestCase):
    def small(self):
        """hym_unet, narrow as in the tests of the library."""
        torch.manual_seed(0)
        return mambaseg.network("hym_unet", **self.settings)

    @classmethod
    def setUpClass(cls):
        cls.settings = dict(SMALL)
        facts = mambaseg.network_facts("hym_unet")
        for key, value in facts["small"].items():
            cls.settings.setdefault(key, value)
        cls.edge = facts["small_edge"]

    def picture(self):
        return torch.randn(2, 1, self.edge, self.edge)

    def test_names_and_facts(self):
        names = mambaseg.network_names()
        self.assertIn("medsegmamba", names)
        facts = mambaseg.network_facts("hym_unet")
        self.assertEqual(facts["dims"], [2])
        self.assertIn("classes", facts["settings"])
        self.assertIn("classes", facts["help"])

    def test_the_declared_number_of_parameters(self):
        net = mambaseg.network("ultralight_vm_unet")
        self.assertEqual(sum(p.numel() for p in net.parameters()),
                         mambaseg.network_facts("ultralight_vm_unet")["parameters"])

    def test_parameters_are_torchs(self):
        net = self.small()
        self.assertTrue(all(isinstance(p, torch.nn.Parameter) and p.is_leaf and p.requires_grad
                            for p in net.parameters()))
        self.assertEqual(len(net.state_dict()), len(list(net.parameters())) + len(list(net.buffers())))

    def test_it_learns(self):
        net = self.small().train()
        goal = torch.zeros(2, self.edge, self.edge, dtype=torch.long)
        goal[:, self.edge // 4: self.edge // 2] = 1
        x = self.picture() + 4 * goal.unsqueeze(1)
        optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
        losses = []
        for _ in range(30):
            scores = net(x)
            scores = scores[0] if isinstance(scores, list) else scores
            loss = torch.nn.functional.cross_entropy(scores, goal)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        self.assertTrue(all(p.grad is not None for p in net.parameters()))
        self.assertLess(losses[-1], 0.5 * losses[0])

    def test_what_was_learned_is_what_predicts(self):
        """Weights are packed for prediction; a change, however it comes, must be seen."""
        net = self.small().eval()
        x = self.picture()
        with torch.no_grad():
            before = net(x)
            for parameter in net.parameters():
                parameter.mul_(1.1)
            changed = net(x)
            self.assertFalse(torch.allclose(before, changed))
            net.load_state_dict({name: t / 1.1 if t.is_floating_point() and name in dict(net.named_parameters()) else t
                                 for name, t in net.state_dict().items()})
            torch.testing.assert_close(net(x), before, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(net(x).detach(), before, rtol=1e-3, atol=1e-3)  # with gradient

    def test_copies_are_their_own(self):
        net = self.small().eval()
        x = self.picture()
        y = net(x)
        copied = copy.deepcopy(net)
        torch.testing.assert_close(copied(x), y)
        with torch.no_grad():
            for parameter in copied.parameters():
                parameter.zero_()
        torch.testing.assert_close(net(x), y)
        file = io.BytesIO()
        torch.save(net, file)
        file.seek(0)
        loaded = torch.load(file, **({"weights_only": False} if torch.__version__ >= "2" else {}))
        torch.testing.assert_close(loaded(x), y)
        self.assertFalse(loaded.training)

    def test_double(self):
        net = self.small().eval()
        x = self.picture()
        expected = net(x)
        wide = net.double()(x.double())
        self.assertEqual(wide.dtype, torch.float64)
        torch.testing.assert_close(wide.float(), expected, rtol=1e-3, atol=1e-4)

    def test_gradients(self):
        """Of every parameter and of the image, in double, against central differences along random directions."""
        for name in ("segmamba", "medsegmamba", "lightm_unet"):
            with self.subTest(name):
                torch.manual_seed(0)
                facts = mambaseg.network_facts(name)
                net = mambaseg.network(name, **facts["small"]).double().eval()  # without dropout
                image = torch.randn([1, net.settings.get("in_channels", facts["settings"]["in_channels"])]
                                    + [facts["small_edge"]] * facts["dims"][0], dtype=torch.float64)
                with torch.no_grad():
                    weights = torch.randn_like(net(image))
                tensors = [image.requires_grad_(), *net.parameters()]
                gradients = torch.autograd.grad((net(image) * weights).sum(), tensors)

                def along(directions, step):
                    with torch.no_grad():
                        for tensor, direction in zip(tensors, directions):
                            tensor += step * direction
                        loss = (net(image) * weights).sum().item()
                        for tensor, direction in zip(tensors, directions):
                            tensor -= step * direction
                    return loss

                step = 1e-7
                scales = [tensor.detach().abs().mean() for tensor in tensors]
                norm = sum((g * scale).square().sum() for g, scale in zip(gradients, scales)).sqrt().item()
                for _ in range(3):
                    directions = [torch.randn_like(tensor) * scale for tensor, scale in zip(tensors, scales)]
                    slope = sum((g * direction).sum() for g, direction in zip(gradients, directions)).item()
                    difference = (along(directions, step) - along(directions, -step)) / (2 * step)
                    self.assertAlmostEqual(difference / norm, slope / norm, delta=1e-6)

    def test_errors_say_one_line(self):
        with self.assertRaisesRegex(mambaseg.UsageError, "hym_unet"):
            mambaseg.network("hym_unett")
        with self.assertRaisesRegex(mambaseg.UsageError, "classes"):
            mambaseg.network("hym_unet", clases=2)
        with self.assertRaisesRegex(mambaseg.Error, "^[^\n]*multiples of [^\n]*$"):
            self.small()(torch.randn(1, 1, self.edge + 1, self.edge))


if __name__ == "__main__":
    unittest.main()

"""Mamba and SS2D against compositions of plain torch."""

import copy
import io
import types
import unittest

import torch
import torch.nn.functional as F

from mambaseg import SS2D, Mamba, scan
from mambaseg.reference import bimamba_inner_ref, causal_conv1d_ref, mamba_inner_ref, selective_scan_ref


def branch(mamba, xz, suffix=""):
    """The reference of one direction of Mamba before its last projection: (B, D, L)."""
    x, z = xz.chunk(2, dim=1)
    conv1d, dt_proj = getattr(mamba, "conv1d" + suffix), getattr(mamba, "dt_proj" + suffix)
    x = causal_conv1d_ref(x, conv1d.weight.squeeze(1), conv1d.bias, "silu")
    low = getattr(mamba, "x_proj" + suffix)(x.transpose(1, 2))
    dt, B, C = low.split([mamba.dt_rank, mamba.d_state, mamba.d_state], dim=-1)
    return selective_scan_ref(x, F.linear(dt, dt_proj.weight).transpose(1, 2),
                              -getattr(mamba, "A" + suffix + "_log").exp(), B.transpose(1, 2), C.transpose(1, 2),
                              getattr(mamba, "D" + suffix), z, dt_proj.bias, True)


def unlike_start_(module):
    """Parameters that start alike get values that differ."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "A" in name or "D" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return module


class OfMamba(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)

    def compare(self, mamba, expected):
        x = torch.randn(2, 12, 24)
        xz = mamba.in_proj(x).transpose(1, 2)
        y, reference = mamba(x), expected(mamba, xz)
        torch.testing.assert_close(y, reference, rtol=1e-4, atol=1e-5)
        weights = torch.randn_like(y)
        parameters = list(mamba.parameters())
        for ours, theirs in zip(torch.autograd.grad(y, parameters, weights, retain_graph=True),
                                torch.autograd.grad(reference, parameters, weights)):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)

    def test_one_way(self):
        for options in ({}, {"bias": True, "conv_bias": False, "d_state": 8, "d_conv": 3, "dt_rank": 5}):
            self.compare(unlike_start_(Mamba(24, **options)), lambda m, xz: mamba_inner_ref(
                xz, m.conv1d.weight, m.conv1d.bias, m.x_proj.weight, m.dt_proj.weight, m.out_proj.weight,
                m.out_proj.bias, -m.A_log.exp(), D=m.D, delta_bias=m.dt_proj.bias))

    def test_v1(self):
        self.compare(unlike_start_(Mamba(24, bimamba_type="v1")), lambda m, xz: bimamba_inner_ref(
            xz, m.conv1d.weight, m.conv1d.bias, m.x_proj.weight, m.dt_proj.weight, m.out_proj.weight,
            m.out_proj.bias, -m.A_log.exp(), -m.A_b_log.exp(), D=m.D, delta_bias=m.dt_proj.bias))

    def test_v2(self):
        for halved in (False, True):
            self.compare(unlike_start_(Mamba(24, bimamba_type="v2", if_divide_out=halved)), lambda m, xz: m.out_proj(
                (branch(m, xz) + branch(m, xz.flip(-1), "_b").flip(-1)).transpose(1, 2) / (2 if halved else 1)))

    def test_v3(self):
        def expected(m, xz):
            order = torch.arange(12).view(4, 3).t().flatten()  # step t meets the t-th of this
            along_slices = branch(m, xz[..., order], "_s")[..., torch.argsort(order)]
            total = branch(m, xz) + branch(m, xz.flip(-1), "_b").flip(-1) + along_slices
            return m.out_proj(total.transpose(1, 2))

        self.compare(unlike_start_(Mamba(24, bimamba_type="v3", nslices=4)), expected)
        with self.assertRaisesRegex(ValueError, "^Mamba: expected a sequence in 5 slices, got 12 tokens$"):
            Mamba(24, bimamba_type="v3")(torch.randn(1, 12, 24))

    def test_layer_scale(self):
        mamba = Mamba(24, bimamba_type="v2", init_layer_scale=0.5)
        plain = Mamba(24, bimamba_type="v2")
        plain.load_state_dict({name: t for name, t in mamba.state_dict().items() if name != "gamma"})
        x = torch.randn(1, 6, 24)
        torch.testing.assert_close(mamba(x), 0.5 * plain(x))

    def test_names_of_the_state_dict(self):
        one = {"A_log", "D", "in_proj.weight", "conv1d.weight", "conv1d.bias", "x_proj.weight", "dt_proj.weight",
               "dt_proj.bias", "out_proj.weight"}
        self.assertEqual(set(Mamba(16).state_dict()), one)
        both = one | {"A_b_log", "D_b", "conv1d_b.weight", "conv1d_b.bias", "x_proj_b.weight", "dt_proj_b.weight",
                      "dt_proj_b.bias"}
        self.assertEqual(set(Mamba(16, bimamba_type="v2").state_dict()), both)
        self.assertEqual(set(Mamba(16, bimamba_type="v3").state_dict()),
                         both | {"A_s_log", "D_s", "conv1d_s.weight", "conv1d_s.bias", "x_proj_s.weight",
                                 "dt_proj_s.weight", "dt_proj_s.bias"})
        self.assertEqual(set(Mamba(16, bimamba_type="v1").state_dict()), one | {"A_b_log"})

    def test_start_values(self):
        mamba = Mamba(64, dt_min=0.01, dt_max=0.02)
        dt = F.softplus(mamba.dt_proj.bias)
        self.assertTrue((dt > 0.0099).all() and (dt < 0.0201).all())
        torch.testing.assert_close(mamba.A_log[3].exp(), torch.arange(1.0, 17.0))
        self.assertTrue(mamba.A_log._no_weight_decay and mamba.D._no_weight_decay)

    def test_token_by_token(self):
        mamba = Mamba(24, layer_idx=0)
        x = torch.randn(2, 9, 24)
        whole = mamba(x)
        cache = types.SimpleNamespace(key_value_memory_dict={}, seqlen_offset=0)
        with torch.no_grad():
            parts = [mamba(x[:, :5], inference_params=cache)]
            for t in range(5, 9):
                cache.seqlen_offset = t
                parts.append(mamba(x[:, t:t + 1], inference_params=cache))
        torch.testing.assert_close(torch.cat(parts, 1), whole.detach(), rtol=1e-4, atol=1e-5)

    def test_copies(self):
        mamba = Mamba(24, bimamba_type="v3", nslices=3)
        x = torch.randn(1, 6, 24)
        y = mamba(x)
        torch.testing.assert_close(copy.deepcopy(mamba)(x), y)
        file = io.BytesIO()
        torch.save(mamba, file)
        file.seek(0)
        torch.testing.assert_close(torch.load(file, **({"weights_only": False} if torch.__version__ >= "2" else {}))(x), y)

    def test_double(self):
        mamba = Mamba(8, d_state=3).double()
        x = torch.randn(1, 5, 8, dtype=torch.float64, requires_grad=True)
        self.assertTrue(torch.autograd.gradcheck(mamba, x))


class OfSs2d(unittest.TestCase):
    def test_against_cross_scan_and_merge(self):
        torch.manual_seed(0)
        for walks in ("cross", "mirrored_rows"):
            mixer = unlike_start_(SS2D(16, d_state=8, walks=walks))
            x = torch.randn(2, 5, 7, 16)
            u, z = mixer.in_proj(x).chunk(2, -1)
            u = F.silu(F.conv2d(u.movedim(-1, 1), mixer.conv2d.weight, mixer.conv2d.bias, padding=1, groups=32))
            orders = scan.orders(walks, (5, 7))
            xs = scan.along(u, orders)  # (B, K, C, L)
            low = torch.einsum("bkcl,krc->bkrl", xs, mixer.x_proj_weight)
            dt, B, C = low.split([mixer.dt_rank, 8, 8], dim=2)
            dt = torch.einsum("bkrl,kcr->bkcl", dt, mixer.dt_projs_weight)
            y = selective_scan_ref(xs.flatten(1, 2), dt.flatten(1, 2), -mixer.A_logs.exp(), B, C, mixer.Ds,
                                   delta_bias=mixer.dt_projs_bias.flatten(), delta_softplus=True)
            y = scan.back(y.view(2, 4, 32, 35), orders, (5, 7)).movedim(1, -1)
            expected = mixer.out_proj(mixer.out_norm(y) * F.silu(z))
            torch.testing.assert_close(mixer(x), expected, rtol=1e-4, atol=1e-5)

    def test_names_of_the_state_dict(self):
        self.assertEqual(set(SS2D(16).state_dict()), {
            "x_proj_weight", "dt_projs_weight", "dt_projs_bias", "A_logs", "Ds", "in_proj.weight", "conv2d.weight",
            "conv2d.bias", "out_norm.weight", "out_norm.bias", "out_proj.weight"})

    def test_gradients_and_copies(self):
        mixer = SS2D(16, dropout=0.1)
        mixer(torch.randn(1, 4, 4, 16)).sum().backward()
        self.assertTrue(all(p.grad is not None and p.grad.isfinite().all() for p in mixer.parameters()))
        mixer.eval()
        x = torch.randn(1, 4, 6, 16)
        torch.testing.assert_close(copy.deepcopy(mixer)(x), mixer(x))


if __name__ == "__main__":
    unittest.main()

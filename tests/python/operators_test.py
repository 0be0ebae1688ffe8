"""Gradients, walks, convolutions, autocast, compilation and errors of mambaseg.ops."""

import copy
import unittest

import torch
import torch.nn.functional as F

import mambaseg
from mambaseg import entry_points, ops, scan
from mambaseg.reference import bimamba_inner_ref, causal_conv1d_ref, mamba_inner_ref, selective_scan_ref


def drawn(*sizes, dtype=torch.float64, low=None):
    t = torch.randn(*sizes, dtype=dtype) if low is None else low - torch.rand(*sizes, dtype=dtype)
    return t.requires_grad_()


class Gradients(unittest.TestCase):
    """torch.autograd.gradcheck in double precision."""

    def setUp(self):
        torch.manual_seed(0)

    def test_selective_scan_fn(self):
        batch, channels, states, length = 2, 4, 3, 5
        for sizes in [(channels, states), (batch, states, length), (batch, 2, states, length)]:
            with self.subTest(sizes=sizes):
                operands = (drawn(batch, channels, length), drawn(batch, channels, length),
                            drawn(channels, states, low=-0.1), drawn(*sizes), drawn(*sizes), drawn(channels),
                            drawn(batch, channels, length), drawn(channels))
                self.assertTrue(torch.autograd.gradcheck(
                    lambda *o: ops.selective_scan_fn(*o, delta_softplus=True), operands))

    def test_selective_scan_along_walks(self):
        orders = scan.orders("snake", (2, 3, 2), 1)
        K, L = orders.shape
        operands = (drawn(1, L, 2), drawn(1, L, K, 2), drawn(K, 2, 2, low=-0.1), drawn(1, L, K, 1, 2),
                    drawn(1, L, K, 1, 2), drawn(K, 2), drawn(1, L, 2), drawn(K, 2))
        walks = scan.walks(orders)
        self.assertTrue(torch.autograd.gradcheck(lambda *o: ops.selective_scan(*o, walks=walks), operands))

    def test_depthwise_conv(self):
        for sizes, taps in [((2, 3, 6), (3,)), ((1, 3, 4, 5), (3, 3)), ((1, 2, 3, 4, 3), (3, 3, 3))]:
            with self.subTest(sizes=sizes):
                operands = (drawn(*sizes), drawn(sizes[1], 1, *taps), drawn(sizes[1]))
                self.assertTrue(torch.autograd.gradcheck(lambda *o: ops.depthwise_conv(*o, padding=1), operands))

    def test_causal_conv1d_fn(self):
        operands = (drawn(2, 3, 6), drawn(3, 4), drawn(3))
        self.assertTrue(torch.autograd.gradcheck(lambda *o: ops.causal_conv1d_fn(*o, activation="silu"), operands))

    def test_mamba_inner_fn(self):
        channels, rank, states = 4, 2, 3
        operands = (drawn(1, 2 * channels, 5), drawn(channels, 1, 3), drawn(channels),
                    drawn(rank + 2 * states, channels), drawn(channels, rank), drawn(2, channels), drawn(2),
                    drawn(channels, states, low=-0.1))
        self.assertTrue(torch.autograd.gradcheck(
            lambda *o: ops.mamba_inner_fn(*o, D=torch.ones(channels, dtype=torch.float64)), operands))


class Walks(unittest.TestCase):
    def test_a_scan_along_walks_is_the_sum_of_scans_of_permuted_tokens(self):
        torch.manual_seed(1)
        self.assertTrue({"raster", "snake", "cross"} <= {family.name for family in scan.families()})
        for family in scan.families():
            for orientation in range(family.orientations):
                with self.subTest(family=family.name, orientation=orientation):
                    grid, D, N = (3, 4) if family.planar else (2, 3, 4), 5, 4
                    orders = scan.orders(family.name, grid, orientation)
                    K, L = orders.shape
                    u, delta = torch.randn(2, L, D), torch.randn(2, L, K, D)
                    A, B, C = -torch.rand(K, D, N), torch.randn(2, L, K, 1, N), torch.randn(2, L, K, 1, N)
                    y = ops.selective_scan(u, delta, A, B, C, walks=scan.walks(orders))
                    expected = torch.zeros_like(u)
                    for k, order in enumerate(orders):
                        one = selective_scan_ref(u[:, order].transpose(1, 2), delta[:, order, k].transpose(1, 2), A[k],
                                                 B[:, order, k, 0].transpose(1, 2), C[:, order, k, 0].transpose(1, 2),
                                                 delta_softplus=True)
                        expected[:, order] += one.transpose(1, 2)
                    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)

    def test_along_and_back(self):
        x = torch.randn(2, 3, 4, 5)
        orders = scan.orders("cross", (4, 5))
        read = scan.along(x, orders)
        self.assertTrue(torch.equal(read[:, 0], x.flatten(2)))
        self.assertTrue(torch.equal(read[:, 1], x.transpose(2, 3).flatten(2)))
        self.assertTrue(torch.equal(read[:, 2], x.flatten(2).flip(-1)))
        torch.testing.assert_close(scan.back(read, orders, (4, 5)), 4 * x)

    def test_the_48_snakes_of_a_cube_differ(self):
        walks = {tuple(order.tolist()) for o in range(6) for order in scan.orders("snake", (4, 4, 4), o)}
        self.assertEqual(len(walks), 48)

    def test_what_is_no_walk_is_refused(self):
        with self.assertRaisesRegex(mambaseg.Error, r"^walks: walk 1: expected every token from 0 to 2 once, got 0 at"):
            scan.walks(torch.tensor([[0, 1, 2], [0, 0, 2]]))
        with self.assertRaisesRegex(mambaseg.UsageError, "^scan order: expected one of raster .*, got spirals$"):
            scan.orders("spirals", (2, 2))


class Convolutions(unittest.TestCase):
    def test_depthwise_as_torch(self):
        torch.manual_seed(0)
        for axes, function in [(1, F.conv1d), (2, F.conv2d), (3, F.conv3d)]:
            x, weight = torch.randn(2, 5, *[7] * axes), torch.randn(5, 1, *[3] * axes)
            y = ops.depthwise_conv(x, weight, None, padding=1)
            torch.testing.assert_close(y, function(x, weight, padding=1, groups=5), rtol=1e-5, atol=1e-5)
            last = ops.depthwise_conv(x.movedim(1, -1).contiguous(), weight, None, padding=1, channels_last=True)
            torch.testing.assert_close(last.movedim(-1, 1), y, rtol=1e-6, atol=1e-6)

    def test_causal_conv1d(self):
        torch.manual_seed(0)
        x, weight, bias = torch.randn(2, 6, 11), torch.randn(6, 4), torch.randn(6)
        for activation in (None, "silu", "swish"):
            expected = causal_conv1d_ref(x, weight, bias, activation)
            torch.testing.assert_close(ops.causal_conv1d_fn(x, weight, bias, activation=activation), expected)
            if activation:  # the fourth argument, as in version 1.0
                torch.testing.assert_close(ops.causal_conv1d_fn(x, weight, bias, activation), expected)
        channels_last = x.transpose(1, 2).contiguous().transpose(1, 2)
        torch.testing.assert_close(ops.causal_conv1d_fn(channels_last, weight, bias), causal_conv1d_ref(x, weight, bias))

    def test_the_sequence_in_two_parts(self):
        torch.manual_seed(0)
        x, weight = torch.randn(2, 6, 11), torch.randn(6, 4)
        whole = ops.causal_conv1d_fn(x, weight)
        first, states = ops.causal_conv1d_fn(x[..., :2], weight, return_final_states=True)
        second, last = ops.causal_conv1d_fn(x[..., 2:], weight, initial_states=states, return_final_states=True)
        torch.testing.assert_close(torch.cat([first, second], -1), whole)
        torch.testing.assert_close(last, x[..., -3:])

    def test_token_by_token(self):
        torch.manual_seed(0)
        x, weight, bias = torch.randn(2, 6, 7), torch.randn(6, 4), torch.randn(6)
        state = torch.zeros(2, 6, 4)
        steps = [ops.causal_conv1d_update(x[..., t], state, weight, bias, "silu") for t in range(7)]
        torch.testing.assert_close(torch.stack(steps, -1), causal_conv1d_ref(x, weight, bias, "silu"))
        state = torch.zeros(2, 6, 3)
        parts = [ops.causal_conv1d_update(x[..., :5], state, weight, bias), ops.causal_conv1d_update(x[..., 5:], state, weight, bias)]
        torch.testing.assert_close(torch.cat(parts, -1), causal_conv1d_ref(x, weight, bias))

    def test_sequences_side_by_side(self):
        torch.manual_seed(0)
        x, weight, bias = torch.randn(1, 3, 9), torch.randn(3, 4), torch.randn(3)
        seq_idx = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 2, 2]])
        y = ops.causal_conv1d_fn(x, weight, bias, seq_idx=seq_idx, activation="silu")
        parts = [causal_conv1d_ref(part, weight, bias, "silu") for part in x.split([4, 3, 2], dim=-1)]
        torch.testing.assert_close(y, torch.cat(parts, -1))


class Inner(unittest.TestCase):
    def test_both_ways(self):
        torch.manual_seed(0)
        D, R, N = 12, 3, 4
        # Weights in the size of a network's, so that sums do not cancel what they add.
        operands = (torch.randn(2, 2 * D, 10), torch.randn(D, 1, 4) / 2, torch.randn(D), torch.randn(R + 2 * N, D) / D**0.5,
                    torch.randn(D, R) / R**0.5, torch.randn(6, D) / D**0.5, None)
        A, A_b = -torch.rand(D, N), -torch.rand(D, N)
        options = {"D": torch.randn(D), "delta_bias": torch.randn(D)}
        torch.testing.assert_close(ops.bimamba_inner_fn(*operands, A, A_b, **options),
                                   bimamba_inner_ref(*operands, A, A_b, **options), rtol=1e-4, atol=1e-4)
        without = ops.mamba_inner_fn_no_out_proj(*operands[:5], A, **options)
        torch.testing.assert_close(F.linear(without.transpose(1, 2), operands[5]),
                                   mamba_inner_ref(*operands, A, **options), rtol=1e-4, atol=1e-4)

    def test_a_step_of_the_scan(self):
        torch.manual_seed(0)
        u, delta, z = (torch.randn(2, 6, 5) for _ in range(3))
        A, B, C, D, bias = -torch.rand(6, 3), torch.randn(2, 3, 5), torch.randn(2, 3, 5), torch.randn(6), torch.randn(6)
        state = torch.zeros(2, 6, 3)
        steps = [ops.selective_state_update(state, u[..., t], delta[..., t], A, B[..., t], C[..., t], D, z[..., t], bias,
                                            True) for t in range(5)]
        y, last = ops.selective_scan_fn(u, delta, A, B, C, D, z, bias, True, True)
        torch.testing.assert_close(torch.stack(steps, -1), y, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(state, last, rtol=1e-4, atol=1e-5)


class EntryPoints(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        batch, D, N, L = 2, 6, 4, 9
        self.u, self.delta, self.z = (torch.randn(batch, D, L) for _ in range(3))
        self.A, self.B, self.C = -torch.rand(D, N), torch.randn(batch, 2, N, L), torch.randn(batch, 2, N, L)
        self.D, self.bias = torch.randn(D), torch.randn(D)

    def expected(self, z):
        leaves = {"u": self.u, "delta": self.delta, "A": self.A, "B": self.B, "C": self.C, "D": self.D,
                  "delta_bias": self.bias}
        if z is not None:
            leaves["z"] = z
        leaves = {name: t.clone().requires_grad_() for name, t in leaves.items()}
        out, state = selective_scan_ref(**leaves, delta_softplus=True, return_last_state=True)
        dout = torch.randn_like(out)
        out.backward(dout)
        return out.detach(), state, dout, {name: t.grad for name, t in leaves.items()}

    def test_selective_scan_cuda(self):
        gated, state, dout, grads = self.expected(self.z)
        operands = (self.u, self.delta, self.A, self.B, self.C, self.D, self.z, self.bias)
        out, x, out_z = entry_points.scan_fwd(*operands, True)
        torch.testing.assert_close(out_z, gated, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(x[:, :, -1, 1::2], state, rtol=1e-4, atol=1e-4)
        place = torch.empty_like(self.z)
        found = entry_points.scan_bwd(*operands, dout, x, out, place, True, True)
        names = ["u", "delta", "A", "B", "C", "D", "delta_bias", "z"]
        for name, gradient in zip(names, found):
            torch.testing.assert_close(gradient, grads[name], rtol=1e-3, atol=1e-3)
        self.assertIs(found[7], place)
        torch.testing.assert_close(found[8], gated, rtol=1e-4, atol=1e-4)

    def test_vmamba(self):
        expected, _, dout, grads = self.expected(None)
        operands = (self.u, self.delta, self.A, self.B, self.C, self.D, self.bias)
        out, x = entry_points.core_fwd(*operands, True, 1)
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)
        found = entry_points.core_bwd(*operands, dout, x, True, 1)
        for name, gradient in zip(["u", "delta", "A", "B", "C", "D", "delta_bias"], found):
            torch.testing.assert_close(gradient, grads[name], rtol=1e-3, atol=1e-3)
        half = tuple(t.bfloat16() for t in operands[:2]) + operands[2:]
        self.assertEqual(entry_points.oflex_fwd(*half, True, 1, True)[0].dtype, torch.float32)
        self.assertEqual(entry_points.oflex_fwd(*half, True, 1, False)[0].dtype, torch.bfloat16)

    def test_causal_conv1d_cuda(self):
        x, weight, bias = torch.randn(2, 6, 8), torch.randn(6, 4), torch.randn(6)
        leaves = [t.clone().requires_grad_() for t in (x, weight, bias)]
        expected = causal_conv1d_ref(*leaves, "silu")
        dout = torch.randn_like(x)
        expected.backward(dout)
        for old in (True, False):
            fwd = (True,) if old else (None, None, None, True)
            torch.testing.assert_close(entry_points.causal_conv1d_fwd(x, weight, bias, *fwd), expected.detach())
            dx = torch.empty_like(x)
            bwd = (dx, True) if old else (None, None, None, dx, False, True)
            found = entry_points.causal_conv1d_bwd(x, weight, bias, dout, *bwd)
            self.assertIs(found[0], dx)
            self.assertEqual(len(found), 3 if old else 4)
            for gradient, t in zip(found, leaves):
                torch.testing.assert_close(gradient, t.grad, rtol=1e-4, atol=1e-4)


class Surroundings(unittest.TestCase):
    def operands(self):
        torch.manual_seed(0)
        return (torch.randn(1, 16, 20), torch.randn(1, 16, 20), -torch.rand(16, 4), torch.randn(1, 4, 20),
                torch.randn(1, 4, 20))

    def test_autocast(self):
        mamba = mambaseg.Mamba(16)
        x = torch.randn(2, 12, 16)
        expected = mamba(x)
        # Held to fewer instructions than the processor has, the oneDNN inside torch knows no bf16.
        with torch.backends.mkldnn.flags(enabled=False):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                y = mamba(x)
            y.float().sum().backward()
        self.assertEqual(y.dtype, torch.bfloat16)
        self.assertTrue(all(p.grad is not None and p.grad.isfinite().all() for p in mamba.parameters()))
        torch.testing.assert_close(y.float(), expected, rtol=0.05, atol=0.05)

    def test_layouts(self):
        u, delta, A, B, C = self.operands()
        y = ops.selective_scan_fn(u, delta, A, B, C)
        self.assertTrue(y.is_contiguous())
        turned = [t.transpose(1, 2).contiguous().transpose(1, 2) for t in (u, delta, B, C)]
        last = ops.selective_scan_fn(turned[0], turned[1], A, turned[2], turned[3])
        torch.testing.assert_close(last, y)
        self.assertTrue(last.transpose(1, 2).is_contiguous())

    def test_no_gradient_where_none_is_asked_for(self):
        u, delta, A, B, C = self.operands()
        self.assertFalse(ops.selective_scan_fn(u, delta, A, B, C).requires_grad)
        with torch.no_grad():
            self.assertFalse(ops.selective_scan_fn(u.requires_grad_(), delta, A, B, C).requires_grad)

    @unittest.skipUnless(hasattr(getattr(torch, "compiler", None), "disable"), "torch without a compiler")
    def test_compiled_code_falls_back(self):
        mamba = mambaseg.Mamba(16)
        compiled = torch.compile(copy.deepcopy(mamba), backend="eager")
        x = torch.randn(2, 12, 16)
        y = compiled(x)
        torch.testing.assert_close(y, mamba(x))
        y.sum().backward()
        self.assertIsNotNone(compiled.A_log.grad)

    def test_errors_say_one_line(self):
        u, delta, A, B, C = self.operands()
        for message, call in [
            (r"^selective_scan_fn: delta: expected size \[1, 16, 20\], got \[1, 16, 19\]$",
             lambda: ops.selective_scan_fn(u, delta[..., 1:], A, B, C)),
            (r"^selective_scan_fn: B: expected size \[1, 4, 20\], got \[1, 3, 20\]$",
             lambda: ops.selective_scan_fn(u, delta, A, B[:, 1:], C)),
            (r"^selective_scan_fn: D: expected size \[16\], got \[15\]$",
             lambda: ops.selective_scan_fn(u, delta, A, B, C, torch.ones(15))),
            (r"^depthwise_conv: expected a weight \(16, 1, taps\.\.\.\) of 3 axes, got \[4, 1, 3\]$",
             lambda: ops.depthwise_conv(u, torch.ones(4, 1, 3)))]:
            with self.assertRaisesRegex(mambaseg.Error, message):
                call()
        with self.assertRaises(RuntimeError):  # as torch's own
            ops.selective_scan_fn(u, delta, A.to(torch.int64), B, C)


if __name__ == "__main__":
    unittest.main()

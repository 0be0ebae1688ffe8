"""Scripts that ask for mamba_ssm and a GPU, run through mambaseg.compat."""

import os
import subprocess
import sys
import tempfile
import textwrap
import unittest


class Compat(unittest.TestCase):
    def run_script(self, text, *options):
        """stdout of `python -m mambaseg.compat options script a b`."""
        with tempfile.TemporaryDirectory() as folder:
            script = os.path.join(folder, "script.py")
            with open(script, "w") as file:
                file.write(textwrap.dedent(text))
            done = subprocess.run([sys.executable, "-m", "mambaseg.compat", *options, script, "a", "b"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_the_packages(self):
        out = self.run_script("""
            import sys
            import causal_conv1d_cuda, selective_scan_cuda, selective_scan_cuda_core, selective_scan_cuda_ndstate
            import selective_scan_cuda_nrow, selective_scan_cuda_oflex
            from causal_conv1d import causal_conv1d_fn, causal_conv1d_update
            from causal_conv1d.cpp_functions import causal_conv1d_fwd_function
            from mamba_ssm import Mamba
            from mamba_ssm.modules.mamba_simple import Block, Mamba as Simple
            from mamba_ssm.ops.selective_scan_interface import (bimamba_inner_fn, mamba_inner_fn,
                mamba_inner_fn_no_out_proj, mamba_inner_ref, selective_scan_fn, selective_scan_ref)
            from mamba_ssm.ops.triton.layer_norm import RMSNorm, layer_norm_fn, rms_norm_fn
            from mamba_ssm.ops.triton.layernorm import RMSNorm
            from mamba_ssm.ops.triton.selective_state_update import selective_state_update
            from mamba_ssm.utils.generation import InferenceParams
            from mamba_ssm.utils.torch import custom_bwd, custom_fwd
            from selective_scan import selective_scan_fn
            import mambaseg, torch
            assert Mamba is Simple is mambaseg.Mamba
            block = Block(16, lambda dim: Mamba(dim, layer_idx=0), norm_cls=RMSNorm, fused_add_norm=True)
            x, residual = block(torch.randn(1, 4, 16))
            assert torch.equal(block(x, residual)[1], x + residual)
            print(sys.argv[1:], __name__)
        """)
        self.assertEqual(out.strip(), "['a', 'b'] __main__")

    def test_norms(self):
        self.run_script("""
            import torch
            from mamba_ssm.ops.triton.layer_norm import RMSNorm, layer_norm_fn
            x, residual = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
            y, total = layer_norm_fn(x, torch.full((8,), 2.0), torch.ones(8), residual, prenorm=True, eps=1e-5)
            torch.testing.assert_close(y, torch.nn.functional.layer_norm(x + residual, (8,)) * 2 + 1)
            torch.testing.assert_close(total, x + residual)
            torch.testing.assert_close(RMSNorm(8)(x), x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt())
        """)

    def test_what_is_installed_comes_first(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "mamba_ssm"))
            with open(os.path.join(folder, "mamba_ssm", "__init__.py"), "w") as file:
                file.write("whose = 'theirs'\n")
            done = subprocess.run(
                [sys.executable, "-c", "import mambaseg.compat as c; c.install(); import mamba_ssm; print(mamba_ssm.whose)"],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])},
                stdout=subprocess.PIPE, universal_newlines=True, check=True)
        self.assertEqual(done.stdout.strip(), "theirs")

    def test_cuda_is_the_cpu(self):
        self.run_script("""
            import os, tempfile, torch
            device = torch.device("cuda", 0)
            net = torch.nn.Linear(4, 4).cuda().to("cuda:0").to(device).to(0)
            x = torch.randn(2, 4, device="cuda") + torch.zeros(2, 4).cuda() + torch.ones(4, device=device)
            x = x.to("cuda").to(device, torch.float32).cuda(non_blocking=True).to(0)
            x = torch.as_tensor([[1.0] * 4], device="cuda") + x + x.new_zeros(4, device="cuda:0")
            torch.cuda.set_device(0); torch.cuda.synchronize(); torch.cuda.empty_cache()
            y = torch.nn.DataParallel(net).cuda()(x.pin_memory())
            y.sum().backward()
            assert y.device.type == "cpu" and net.weight.grad is not None
            path = os.path.join(tempfile.mkdtemp(), "w.pth")
            torch.save(net.state_dict(), path)
            net.load_state_dict(torch.load(path, map_location="cuda"))
            net.load_state_dict(torch.load(path, map_location=lambda storage, place: storage.cuda(0)))
            loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.arange(4.0)), num_workers=1)
            assert [item[0].to("cuda").item() for item in loader] == [0, 1, 2, 3]
            from mamba_ssm import Mamba
            Mamba(16, device="cuda").to("cuda")(torch.randn(1, 4, 16).cuda()).sum().backward()
        """, "--cuda-to-cpu")

    def test_without_it_cuda_is_cuda(self):
        import torch
        if torch.cuda.is_available():
            self.skipTest("there is a GPU")
        self.run_script("""
            import torch
            try:
                torch.zeros(1).cuda()
            except (AssertionError, RuntimeError):
                pass
            else:
                raise SystemExit("no error")
        """)

    def test_the_command_line(self):
        for arguments, message in [([], "usage: "), (["absent.py"], "absent.py does not exist")]:
            done = subprocess.run([sys.executable, "-m", "mambaseg.compat", *arguments], stderr=subprocess.PIPE,
                                  universal_newlines=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn(message, done.stderr)
        out = subprocess.run([sys.executable, "-m", "mambaseg.compat", "-m", "this"], stdout=subprocess.PIPE,
                             universal_newlines=True, check=True).stdout
        self.assertIn("Zen", out)


if __name__ == "__main__":
    unittest.main()

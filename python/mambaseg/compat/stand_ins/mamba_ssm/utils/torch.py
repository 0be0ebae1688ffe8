try:
    from torch.amp import custom_bwd, custom_fwd

    custom_bwd, custom_fwd = custom_bwd(device_type="cuda"), custom_fwd(device_type="cuda")
except ImportError:  # torch before 2.4
    from torch.cuda.amp import custom_bwd, custom_fwd

from mambaseg.entry_points import scan_bwd as bwd, scan_fwd as fwd

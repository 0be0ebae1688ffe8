from mambaseg.entry_points import core_bwd as bwd, core_fwd as fwd

from mambaseg.entry_points import core_bwd as bwd, oflex_fwd as fwd

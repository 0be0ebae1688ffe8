from mambaseg.ops import selective_scan_fn
from mambaseg.reference import selective_scan_ref

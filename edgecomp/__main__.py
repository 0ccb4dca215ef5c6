"""`python -m edgecomp` is `edgecomp`."""

from __future__ import annotations

import sys

from edgecomp.cli import main

sys.exit(main())

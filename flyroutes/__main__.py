"""`python -m flyroutes`."""

import sys

from flyroutes.cli import main

sys.exit(main())

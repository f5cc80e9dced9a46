"""`python -m flyroutes`."""

import sys

from flyroutes.commands.main import main

sys.exit(main())

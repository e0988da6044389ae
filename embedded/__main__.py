"""`python -m embedded STATE_DIR OPTIONS_JSON`: the servers in the foreground."""

import sys

from embedded.serve import main

sys.exit(main(sys.argv[1:]))

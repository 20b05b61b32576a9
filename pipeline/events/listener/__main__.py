"""`python -m pipeline.events.listener CONFIG`."""

import sys

from pipeline.events.listener.serve import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m pipeline.events.consumer CONFIG`."""

import sys

from pipeline.events.consumer.consume import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m exporter` is `media-usage-exporter`."""

import sys

from exporter.cli import main

sys.exit(main())

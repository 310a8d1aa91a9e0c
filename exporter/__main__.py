"""`python -m exporter` is `media-usage-exporter`."""

import sys

from exporter.cli.main import main

sys.exit(main())

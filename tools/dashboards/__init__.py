"""The Grafana dashboards, written in Python; their JSON is generated and committed.

`overview`, `streams`, `jobs`, `billing` and `own` each hold one dashboard as rows of panels; `queries` turns
metrics of the catalogue into PromQL, `panels` turns queries into panels, `health` holds those that
more than one dashboard shows, `frame` puts a dashboard around them.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # The classic schema is meant: Grafana 10 and 11 do not know the newer one.
    warnings.simplefilter("ignore", DeprecationWarning)
    # Imported for the silence: the package warns of these when they are first imported.
    import grafana_foundation_sdk.builders.bargauge
    import grafana_foundation_sdk.builders.dashboard  # noqa: F401

"""TLS, basic authentication, response headers and a rate limit, from `--web.config.file`.

The format of the file is that of Prometheus' `exporter-toolkit`, so that one file can be used for
Prometheus, Alertmanager and all exporters.
"""

from exporter.web.toolkit.config_file import load
from exporter.web.toolkit.guard import Guarded
from exporter.web.toolkit.security import WebSecurity
from exporter.web.toolkit.settings import RateLimit, WebConfig

__all__ = ["Guarded", "RateLimit", "WebConfig", "WebSecurity", "load"]

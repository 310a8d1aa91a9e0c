"""The landing page: does everything work, and if not, whose fault is it?"""

from exporter.web.landing.page import content_security_policy, landing_page

__all__ = ["content_security_policy", "landing_page"]

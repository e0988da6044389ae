"""What a run of parity came to, for people and for programs: JSON, JSON lines, text, and one HTML page.

Groups come first, by cause; values are redacted unless asked for, and then only of fields that the plan lists.
"""

from midflight.parity.report.gathering import gather
from midflight.parity.report.model import Asked, Builder, Report, build

__all__ = ["Asked", "Builder", "Report", "build", "gather"]

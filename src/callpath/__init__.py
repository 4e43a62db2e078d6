"""callpath: Telnyx calls that work, and the reason when one does not."""

__version__ = "0.1.0"

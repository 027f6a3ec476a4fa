"""What reads several rooms and changes nothing: reports."""

from guardai.gate.reports.found import Column, Files, Place, Report, Source, Table
from guardai.gate.reports.scan import Options, Progress, scan

__all__ = ["Column", "Files", "Options", "Place", "Progress", "Report", "Source", "Table", "scan"]

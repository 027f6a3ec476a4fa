"""What can be scanned: databases, files of rows, texts, folders; one file each."""

from guardai.gate.reports.sources.relation import Database, Field, Relation, Sample, SourceError

__all__ = ["Database", "Field", "Relation", "Sample", "SourceError"]

"""The audit: everything counted anew from the input topic, and compared with the tables.

It goes by the topics alone: the tables are their changelogs, folded. No worker has to run, and any
number may::

    report = await audit(settings, topics, names, tables, progress, memory)

1. The group's committed offsets are read, before and after the changelogs.
2. The input is recounted partition by partition, up to both.
3. Every count of the tables has to lie between the two; they are one when nothing comes in.
"""

from auditing.audit import AuditError, Report, audit

__all__ = ["AuditError", "Report", "audit"]

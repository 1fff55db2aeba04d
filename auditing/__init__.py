"""The audit: recount the input topic, and compare the result with the tables.

It reads topics only; a table is the content of its changelog. Workers may run, but need not::

    report = await audit(settings, topics, names, tables, progress, memory)

1. The group's committed offsets are read, before and after the changelogs.
2. The input is recounted partition by partition, up to both; a large one by several processes.
3. Every count of the tables must lie between the two. They are equal if no events arrive.
"""

from auditing.audit import AuditError, Processes, Report, audit

__all__ = ["AuditError", "Processes", "Report", "audit"]

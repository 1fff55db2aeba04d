"""The same job as a Faust app of the usual kind; it shares no code with this program."""

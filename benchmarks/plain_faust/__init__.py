"""The same job as an ordinary Faust app; it shares no code with this program."""

"""Sizing: the partitions, workers and brokers that a load needs (``faust -A app size``).

Pure arithmetic on measured costs; names contain the units. ``measured.json`` has the costs that
come with the program, in the format in which ``python -m benchmarks --output FILE`` writes an
operator's own.
"""

from sizing.amounts import parse_amount
from sizing.costs import Cost, Costs, read_costs
from sizing.demand import Assumptions, Demand, Windows
from sizing.errors import SizingError
from sizing.plan import Plan, make_plan

__all__ = [
    "Assumptions",
    "Cost",
    "Costs",
    "Demand",
    "Plan",
    "SizingError",
    "Windows",
    "make_plan",
    "parse_amount",
    "read_costs",
]

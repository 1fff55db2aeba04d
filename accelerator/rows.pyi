from typing import Any

from models.entity import Entity
from models.rows import FindForeign

foreign_users: FindForeign

def foreign_sums(entity: Entity[Any], header_size: int) -> FindForeign: ...

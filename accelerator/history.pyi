from models.user import UserWindows

class Histories:
    windows: UserWindows

    def __init__(self, windows: UserWindows) -> None: ...
    def in_units(self, unit_ms: int) -> Histories: ...

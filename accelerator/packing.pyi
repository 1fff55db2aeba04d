from models._protocols import PackRecords

pack: PackRecords

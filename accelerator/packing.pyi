from tables.layers import PackRecords

pack: PackRecords

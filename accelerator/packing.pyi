from streaming.packing import PackRecords

pack: PackRecords

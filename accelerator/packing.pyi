from streaming.kafka.batch_writer import PackRecords

pack: PackRecords

from models.rows import FindForeign

foreign_users: FindForeign
foreign_videos: FindForeign
foreign_creators: FindForeign

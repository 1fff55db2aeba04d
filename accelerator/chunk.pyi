from models.chunk import Chunk as Chunk

"""The commit of all tasks of a worker in one transaction, and the fencing around it."""

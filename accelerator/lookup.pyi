from tables.lookup import Find

find: Find

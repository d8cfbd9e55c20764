"""One module a change, numbered. A change that was released is never edited again."""

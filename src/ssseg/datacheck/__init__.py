"""`ssseg doctor`: reads a data set once and reports its contents and its problems."""
